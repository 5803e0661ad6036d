#!/bin/bash
# Some hundred commands over a small tree: files, text, archives, pipelines, subshells, jobs, traps. The same words come
# out each time it is run, so that they can be compared with and without a profiler.
#
#     fidelity.sh           in an empty directory of its own
#
# Nothing here may tell a time, a pid, an inode or an address. The exit status is 3, as the last line asks for.

export LC_ALL=C.UTF-8 TZ=UTC0 GZIP= XZ_OPT= HOME=$PWD
unset CDPATH GREP_COLORS LS_COLORS GIT_DIR
umask 022
n=0

# t COMMAND: one command; what it says on either output, and its status.
t() {
	n=$((n + 1))
	printf '[%d] %s\n' "$n" "$1"
	eval "$1" </dev/null 2>"$HOME/stderr"
	local status=$?
	# Of a job that was killed the shell tells the pid.
	sed -E 's/^.*line [0-9]+: *([0-9]+ )? */shell: /; s/^/! /' "$HOME/stderr"
	printf '= %d\n' "$status"
}

# Each line of the standard input is a command.
each() {
	local line
	while IFS= read -r line <&9; do
		[ -n "$line" ] && t "$line"
	done 9<&0
}

each <<'END'
mkdir -p tree/a/b/c tree/d tree/empty
cd tree
seq 1 1000 >numbers
seq 1 3 5000 >threes
seq -w 0 250 999 | tr '\n' ' '
printf 'pear\napple\nfig\nbanana\napple\ncherry\nfig\ndate\n' >fruit
for i in 1 2 3 4 5; do echo "line $i of a" >a/f$i; done
for i in 1 2 3; do printf '%d %d\n' $i $((i * i)); done >a/b/squares
yes 'the quick brown fox jumps over the lazy dog' | head -n 500 >words
head -c 100000 /dev/zero >zeros
printf '\000\001\002\377text\n' >binary
touch -d '2001-02-03 04:05:06' fruit numbers a/f1 a/f2
ln -s ../fruit a/link
ln numbers hard
chmod 640 a/f3
chmod u+x,g-r a/f4
mkfifo pipe
ls -1
ls -1aF a
ls -R
ls -ln --time-style=+%s a/f1 a/f2 | cut -d' ' -f1,6-
stat -c '%n %s %F %a %h' fruit numbers a/link a/f3 pipe empty
cat a/f1 a/f2
cat -n fruit
cat -A binary
tac fruit
rev fruit
nl -ba fruit
head -n 3 numbers
head -c 10 words
tail -n 2 numbers
tail -c 5 numbers
tail -n +998 numbers
wc numbers words fruit
wc -l <words
wc -c zeros binary
sort fruit
sort -r fruit
sort -u fruit
sort -n -r numbers | head -n 3
sort -k2,2n a/b/squares
sort -R --random-source=zeros fruit | sort | md5sum
sort -t' ' -k2 -s a/b/squares
sort -c fruit
sort -m numbers threes | md5sum
sort --parallel=2 -S 1M numbers words threes | sha1sum
uniq fruit
sort fruit | uniq -c
sort fruit | uniq -d
sort fruit | uniq -u
cut -c1-3 fruit
cut -d' ' -f2 a/b/squares
cut -b2-4 words | head -n 1
paste fruit numbers | head -n 4
paste -sd+ a/b/squares
join -1 1 -2 1 a/b/squares a/b/squares
comm <(sort numbers) <(sort threes) | md5sum
tr a-z A-Z <fruit
tr -d aeiou <fruit
tr -s o <words | head -n 1
tr -cd '[:alpha:]' <words | head -c 20
expand -t4 <<<$'a\tb'
unexpand -a <<<'a       b'
fold -w 20 words | head -n 3
fmt -w 30 words | head -n 3
pr -t -2 -l 5 fruit | head -n 4
column -t a/b/squares
split -l 300 numbers part.
ls part.*
cat part.* | cmp - numbers
csplit -s numbers 500 700
wc -l xx00 xx01 xx02
rm part.* xx0*
md5sum fruit numbers words
sha1sum zeros
sha224sum fruit
sha256sum numbers words zeros
sha384sum fruit
sha512sum fruit
b2sum fruit
cksum fruit words
sum fruit
base64 binary
base64 words | base64 -d | cmp - words
base32 fruit
od -An -tx1 binary
od -c binary
od -An -td4 -N16 words
hexdump -C binary
xxd binary
factor 1 2 97 1234567890 18446744073709551557
expr 7 \* 6 + 2
expr length 'a word'
expr abc : 'a\(.\)c'
expr 1 / 0
numfmt --to=iec 1048576 123456789
numfmt --from=si 5K 3M
seq 0 0.25 1
shuf --random-source=zeros -n 5 numbers
tsort <<<'a b b c a c'
echo a b c | xargs -n1 echo x
seq 20 | xargs -P1 -n7 echo
find . -name '*.txt' | xargs -r cat
printf '%s\0' a/f1 a/f2 | xargs -0 wc -c
date -u -d @1000000000 '+%F %T'
date -d '2020-02-28 +2 days' +%F
date -d nonsense
basename /usr/lib/thing.so .so
dirname /usr/lib/thing.so
realpath --relative-to=. a/../fruit
readlink a/link
pathchk 'a name'
test -f fruit
test -d fruit
test fruit -nt no-such-file
[ 3 -lt 4 -a ! -e none ]
true
false
env -i A=1 B=2 env
env -u HOME sh -c 'echo ${HOME-unset}'
printenv LC_ALL
nproc --ignore=1000
tee copy <fruit | wc -l
cmp copy fruit
cp -p fruit copy2
cp -a a acopy
diff -r a acopy
diff fruit <(sort fruit)
diff -u --label x --label y fruit <(sort fruit)
diff -y -W 40 fruit <(sort fruit)
diff3 fruit copy <(sort fruit)
diff -u --label x --label y fruit <(tr a-z A-Z <fruit) >change
patch -s copy <change
cat copy
mv copy moved
ln -sf moved link2
cat link2
rm -r acopy copy2
rm no-such-file
rmdir a
rmdir empty
mkdir empty
mkdir empty
install -m 600 fruit installed
stat -c %a installed
truncate -s 10 installed
truncate -s +90 installed
wc -c installed
dd if=numbers of=block bs=100 count=3 skip=1 status=none
md5sum block
dd if=/dev/zero bs=1k count=8 status=none | wc -c
dd if=numbers bs=7 conv=ucase status=none | md5sum
fallocate -l 5000 allocated
du -b allocated words
shred -n1 -u --random-source=zeros allocated
sync -d fruit
touch -r fruit a/f5
find . -type f | sort
find . -type l -printf '%p -> %l\n'
find . -type f -size +10k | sort
find . -newer fruit -name 'f[12]'
find a -maxdepth 1 -type d
find . -name 'f*' -exec echo {} + | tr ' ' '\n' | sort
find . -name 'f1' -exec cat {} \;
find . -perm 640
find nowhere
find . -empty | sort
find . -type f -print0 | sort -z | xargs -0 md5sum
grep apple fruit
grep -n fig fruit
grep -c 9 numbers
grep -v a fruit
grep -i APPLE fruit
grep -o 'b.*k' words | sort -u
grep -E '^(1|2)0+$' numbers
grep -P '(\d)\1\1' numbers | wc -l
grep -F '.' fruit
grep -r line a | sort
grep -rl line a | sort
grep -A1 -B1 banana fruit
grep -w 10 numbers
grep -m2 1 numbers
grep text binary
grep -a text binary | tail -c 5
grep 'a\(b' fruit
grep x nowhere
egrep 'pear|date' fruit
fgrep -x fig fruit
sed -n 5,7p numbers
sed 's/a/A/g' fruit
sed -E 's/(.)(.)/\2\1/' fruit
sed -n '/fig/{=;p}' fruit
sed '2,5d' fruit
sed '$!N;s/\n/ /' fruit
sed -e 1i\\top -e '$a\bottom' fruit
sed -n '$=' words
sed 'y/abc/xyz/' fruit
sed ':a;s/^\(x*\)a/\1x/;ta' fruit
sed -i s/fox/cat/ words
sed 1q words
sed 'bad command' fruit
sed -s -n 1p a/f1 a/f2
awk '{s += $1} END {print s}' numbers
awk 'NR % 250 == 0' numbers
awk '{a[$1]++} END {for (k in a) print a[k], k}' fruit | sort
awk -F'[ ]' '{print $NF, NF}' words | sort | uniq -c
awk 'BEGIN {for (i = 0; i < 20000; i++) t[i] = i "x"; print length(t), t[777]}'
awk 'BEGIN {printf "%.6f %d %s %c\n", 22/7, 3.99, "s", 65}'
awk 'BEGIN {while (("echo a; echo b" | getline l) > 0) print "got", l}'
awk '{print > "out." ($1 % 3)}' numbers
wc -l out.0 out.1 out.2
awk 'BEGIN {print substr("hello", 2, 3), index("hello", "l"), toupper("abc"), length()}'
awk '/fig/,/date/' fruit
awk 'BEGIN {exit 7}'
awk 'BEGIN {print 1 +}'
awk 'function f(n) {return n < 2 ? n : f(n-1) + f(n-2)} BEGIN {print f(18)}'
awk 'BEGIN {s = ""; for (i = 0; i < 3000; i++) s = s i; print length(s)}'
awk '{gsub(/o/, "0"); print}' words | head -n 1
echo '2^200; scale=30; 4*a(1)' | bc -l
echo 'define f(n) {if (n < 2) return 1; return n * f(n - 1)}; f(50)' | bc
echo '1/0' | bc
tar cf one.tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner a fruit
tar tvf one.tar
md5sum one.tar
tar cf - --sort=name --mtime=@0 --owner=0 --group=0 a | tar xf - -C empty
diff -r a empty/a
tar czf one.tgz --mtime=@0 a fruit
tar xzOf one.tgz fruit
tar cJf one.txz --mtime=@0 a
tar tJf one.txz | sort
tar xf nowhere.tar
tar df one.tar fruit | wc -l
gzip -nk words
gzip -9nc numbers | md5sum
gzip -1nc numbers | gunzip | cmp - numbers
gunzip -c words.gz | md5sum
zcat words.gz | head -n 1
gzip -t fruit
gzip -l words.gz | wc -l
bzip2 -k words
bzip2 -dc words.bz2 | md5sum
bzcat words.bz2 | tail -n 1
xz -k words
xz -dc words.xz | md5sum
xz -T1 -9c numbers | md5sum
xz -T2 --block-size=1000 -c numbers | xz -dc | cmp - numbers
xz -t fruit
zstd -q -c words | zstd -dqc | md5sum
perl -e 'print join(",", map {$_ ** 2} 1 .. 10), "\n"'
perl -ne 'print if /fig/ .. /date/' fruit
perl -pe 's/(\w+)/\u$1/g' fruit
perl -lane 'print $F[1]' a/b/squares
perl -e 'my %h = map {$_ => "x$_"} 1 .. 20000; print scalar(keys %h), "\n"; exit 9'
perl -MList::Util=sum -e 'print sum(1 .. 100), "\n"'
perl -e 'my $p = fork // die; if (!$p) {exit 4} waitpid $p, 0; print $? >> 8, "\n"'
perl -e '$SIG{ALRM} = sub {print "alarm\n"; exit 2}; alarm 1; sleep 10'
perl -e 'open my $f, "|-", "sort -r" or die; print $f "$_\n" for qw(a c b); close $f'
perl -e 'die "a message\n"'
perl -e 'my @a = sort {$b <=> $a} map {($_ * 7919) % 10007} 1 .. 5000; print "@a[0 .. 4]\n"'
perl -MPOSIX -e 'print POSIX::strftime("%F", gmtime(86400 * 365)), "\n"'
perl -MDigest::MD5=md5_hex -e 'print md5_hex("x" x 100000), "\n"'
perl -e 'local $/; open F, "<", "words"; $_ = <F>; print length, " ", tr/o//, "\n"'
perl -Mthreads -e 'print join(",", map {$_->join} map {my $n = $_; threads->create(sub {$n * 2})} 1 .. 4), "\n"'
/usr/bin/python3 -c 'print(sum(range(10 ** 5)))'
/usr/bin/python3 -c 'import json; print(json.dumps({str(i): [i] * 3 for i in range(5)}))'
/usr/bin/python3 -c 'import sys; sys.stderr.write("to stderr\n"); sys.exit(5)'
/usr/bin/python3 -c 'import subprocess; print(subprocess.check_output(["rev", "fruit"]).decode())'
/usr/bin/python3 -c 'import re; print(len(re.findall(r"\w+", open("words").read())))'
/usr/bin/python3 -c 'import threading as t; l = []; a = [t.Thread(target=l.append, args=(i,)) for i in range(9)]; [x.start() for x in a]; [x.join() for x in a]; print(sorted(l))'
/usr/bin/python3 -c 'import os, signal; os.kill(os.getpid(), signal.SIGTERM)'
/usr/bin/python3 -c 'import os; print(sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1])'
/usr/bin/python3 -c 'import glob; print([n for n in (open(f).read() for f in glob.glob("/proc/self/task/*/comm")) if n != "heapspy\n"])'
/usr/bin/python3 -c 'import hashlib, zlib; d = bytes(range(256)) * 999; print(hashlib.sha256(zlib.compress(d)).hexdigest())'
/usr/bin/python3 -c 'import decimal; decimal.getcontext().prec = 80; print(decimal.Decimal(2).sqrt())'
/usr/bin/python3 -c 'raise SystemExit("a message")'
/usr/bin/python3 -c 'import sqlite3; c = sqlite3.connect(":memory:"); c.execute("create table t(a)"); c.executemany("insert into t values (?)", [(i,) for i in range(3000)]); print(c.execute("select sum(a), count(*) from t").fetchone())'
/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).abs(-3))'
/usr/bin/python3 -c 'import multiprocessing as m; p = m.get_context("fork").Pool(2); print(p.map(abs, range(-3, 3))); p.close(); p.join()'
cat fruit | sort | uniq | tr '\n' ' ' | sed 's/ $//' | wc -w
seq 100000 | grep 7 | awk '{s += $1} END {print s}' | cat
yes | head -n 100000 | wc -l
yes | head -n 1; echo "${PIPESTATUS[*]}"
false | true | false; echo "${PIPESTATUS[*]}"
set -o pipefail; seq 100000 | head -n 1; echo $?; set +o pipefail
(exit 7)
(cd a && ls f*)
{ echo one; echo two >&2; } 2>&1 | sort
x=$(echo inside; exit 4); echo "$x $?"
echo "$(echo "$(echo nested) twice")"
echo $((2 ** 62 - 1 + 7 % 3)) $((0x1f)) $((1 << 40))
for ((i = 0; i < 3; i++)); do echo $i; done
while read -r a b; do echo "$b-$a"; done <a/b/squares
case fig in a*) echo no ;; f*) echo yes ;; esac
f() { local x=1; echo "f $x $# $*"; return 3; }; f a b c
x=abcdef; echo ${x:2:3} ${x#ab} ${x%ef} ${x/cd/--} ${#x} ${x^^}
a=(x y z); echo ${a[1]} ${#a[@]} "${!a[@]}"; unset a
declare -A h=([k]=v [l]=w); echo ${h[k]} ${#h[@]}; unset h
echo {a,b}{1..3} {10..1..3}
[[ abc =~ ^(a)(b) ]] && echo "${BASH_REMATCH[2]}"
printf '%5d|%-5s|%x|%q\n' 42 ab 255 'a b'
cat <<<"a here string $((1 + 1))"
mapfile -t lines <fruit; echo ${#lines[@]} ${lines[3]}
exec 7>seven; echo to seven >&7; exec 7>&-; cat seven
exec 8<fruit; read -r x <&8; read -r y <&8; echo $x $y; exec 8<&-
cat <(echo first) <(echo second)
echo to a process | tee >(wc -c >counted) >/dev/null; sleep 0.2; cat counted
(sleep 0.1; echo late) & echo early; wait; echo "waited $?"
(exit 5) & wait $!; echo $?
sleep 30 & kill $!; wait $! 2>/dev/null; echo $?
sleep 30 & kill -KILL $!; wait $! 2>/dev/null; echo $?
for i in 1 2 3 4; do (exit $i) & done; wait; echo all
(trap 'echo caught' TERM; kill -TERM $BASHPID; echo after)
(trap 'echo leaving' EXIT; exit 6)
(trap '' INT; kill -INT $BASHPID; echo ignored)
(trap 'echo usr1' USR1; (sleep 0.1; kill -USR1 $BASHPID) & kill -USR1 $BASHPID; wait)
bash -c 'kill -SEGV $$' 2>/dev/null
bash -c 'kill -ABRT $$' 2>/dev/null
sh -c 'kill -HUP $$'
sh -c 'exit 41'
sh -c 'exec sh -c "exec echo through two"'
timeout 0.2 sleep 5
timeout --preserve-status 5 true
timeout -s KILL 0.2 sleep 5
nohup true
nice -n 3 nice
nice -n 3 sh -c nice
setsid -w echo in a session
ionice -c 3 echo idle
stdbuf -o0 echo unbuffered
taskset -c 0 echo pinned
flock fruit echo locked
(echo w >pipe &) ; cat pipe
no-such-command
/no/such/path
./fruit
ulimit -n 64; ulimit -n
(ulimit -f 1; head -c 100000 /dev/zero >toolarge; echo $?; wc -c <toolarge)
(ulimit -v 200000; echo limited)
(umask 077; touch private; stat -c %a private)
umask
cd .. && pwd | sed 's/.*/there/' && cd tree
pushd a >/dev/null; ls | wc -l; popd >/dev/null
type -t echo ls f
hash -r
alias ll=ls; alias ll; unalias ll
eval 'echo evaluated $((3 * 3))'
shopt -s nullglob; echo *.nothing; shopt -u nullglob; echo *.nothing
set -- 1 2 3; shift; echo $1 $#; set --
getopts ab: o -b value; echo $o $OPTARG
IFS=: read -r x y <<<'p:q'; echo $y $x
bash -e -c 'false; echo not reached'
bash -u -c 'echo $undefined' 2>/dev/null
bash -c 'coproc cat; echo hello >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo $x'
bash -c 'time true' 2>&1 | grep -c real
script=$(printf 'echo %s\n' {1..200}); bash -c "$script" | md5sum
bash -c 'f() { [ $1 = 0 ] || f $(($1 - 1)); }; f 500; echo deep'
ls /proc/self/fd | wc -l
tr '\0' '\n' </proc/self/cmdline
locale -k LC_CTYPE | md5sum
iconv -f UTF-8 -t UTF-16LE fruit | md5sum
iconv -f UTF-8 -t ISO-8859-1 <<<'grüße' | od -An -tx1
iconv -f UTF-8 -t ASCII <<<'grüße'
getent passwd root | cut -d: -f1,3
getent hosts 127.0.0.1 | wc -l
id -u nobody
logger --no-act -s hello 2>&1 | sed 's/.*hello/hello/'
which sh
file -b fruit words
cat >prog.c <<<'#include <stdio.h>
gcc -E -P -x c - <<<'int x = 3;'
printf '#include <stdlib.h>\n#include <stdio.h>\nint main(void) { char *p = malloc(10); sprintf(p, "%%d", 42); puts(p); return p[0]; }\n' >prog.c
gcc -O2 -c prog.c -o prog.o
md5sum prog.o
gcc prog.o -o prog
./prog
gcc -Wall -Wextra -fsyntax-only -x c - <<<'int f(int x) { return; }'
gcc -fsyntax-only nowhere.c
printf 'struct word { int n; word() : n(99) {} ~word() { n = 0; } };\nint main() { word *w = new word[9]; int r = w[8].n; delete[] w; try { throw 5; } catch (int e) { return e + r; } }\n' >prog.cc
g++ -O1 prog.cc -o progcc
./progcc
ar rcD lib.a prog.o
nm lib.a
strip -o stripped prog
objdump -d --no-show-raw-insn prog.o | md5sum
readelf -h prog.o | head -n 5
printf 'all: one two\none:\n\t@echo making one\ntwo: one\n\t@echo making two; exit 3\n' >Makefile
make
make -j2 -k one
make -n two
make nothing
git init -q repo
git -C repo config user.email a@b
git -C repo config user.name a
cp fruit numbers repo
git -C repo add .
GIT_AUTHOR_DATE=@1 GIT_COMMITTER_DATE=@1 git -C repo commit -qm first
echo more >>repo/fruit
git -C repo diff
GIT_AUTHOR_DATE=@2 GIT_COMMITTER_DATE=@2 git -C repo commit -qam second
git -C repo log --format='%H %s'
git -C repo checkout -q -b side HEAD~1
git -C repo show --stat HEAD
git -C repo gc -q
git -C repo fsck
git -C repo blame -s fruit | cut -c10-
git clone -q repo clone
git -C clone ls-files -s
git -C nowhere status
sqlite3 data.db 'create table t(a, b); insert into t values (1, 2), (3, 4); select sum(a * b) from t;'
sqlite3 data.db .dump
sqlite3 data.db 'select nothing'
sqlite3 :memory: "with recursive n(x) as (select 1 union all select x + 1 from n where x < 20000) select count(*), sum(x), max(hex(x)) from n"
md5sum data.db
openssl dgst -sha256 fruit
openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 00112233445566778899aabbccddeeff -in fruit | md5sum
openssl enc -base64 -in fruit
openssl prime 1000003
openssl genrsa 1 2>/dev/null | wc -l
END

# What the shell itself holds at the end, and the tree.
cd "$HOME" || exit 1
cat <<END
$n commands
END
(set -o posix; jobs)
find . -type f ! -path '*/.git/*' ! -name stderr ! -name 'prog*' ! -name '*.tgz' ! -name '*.txz' ! -name stripped \
	-exec md5sum {} + | sort -k2
exit 3
