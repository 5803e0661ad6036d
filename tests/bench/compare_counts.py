"""Instructions, counted by callgrind: exact where times are not, and blind to caches."""
import concurrent.futures
import re
import subprocess

from compare_variants import Wrong, clean_environment, run_directory

OPS = ("pair", "mix", "calloc", "realloc", "batch", "new")
BATCH = 1024


class Counts:
    """Ratio bare : heapspy of whole programs, and instructions of single operations."""
    name, title = "counts", "instructions"

    def __init__(self, bench, inputs):
        self.bench, self.inputs = bench, inputs

    def count(self, variant, argv, stdin=None, extra=()):
        """Instructions of one program, its start and its end included."""
        with run_directory() as directory:
            env = {name: str(value) for name, value in
                   [*clean_environment().items(), *variant.environment(directory).items(), *extra]}
            with open(stdin or "/dev/null", "rb") as source:
                done = subprocess.run(
                    ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, argv)],
                    stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=directory, check=False)
            found = re.search(rb"Collected : (\d+)", done.stderr)
            if done.returncode or not found:
                raise Wrong(f"valgrind: {done.stderr[-200:].decode(errors='replace')}")
            variant.proof(directory, True)
            return int(found.group(1)), done.stdout

    def operation(self, variant, op):
        """One operation: what more of them take, so that start and end cancel. prog_ops makes 73 m + 1 of them
        when it is asked for 9 (8 m - 1)."""
        def asked(m):
            return 9 * (8 * m - 1) if op != "batch" else (9 * (8 * m - 1) - 1) * BATCH
        few, many = (1, 5) if op == "batch" else (800, 4800)
        one, other = (self.count(variant, [self.bench.dir / "prog_ops_cxx", "-n", asked(m), op])[0]
                      for m in (few, many))
        return (other - one) / (73 * (many - few) * (BATCH if op == "batch" else 1))

    def program(self, variant, words):
        argv, stdin, extra = words
        return self.count(variant, argv, stdin, extra)

    def whole_programs(self):
        """Sizes that callgrind finishes in some ten seconds."""
        python = ["/usr/bin/python3", "-s", self.inputs.python(), 3 if self.bench.quick else 6]
        return {"sqlite3": (["sqlite3", ":memory:"], self.inputs.sql(10000 if self.bench.quick else 30000), ()),
                 "python3": (python, None, ()),
                 "python3-malloc": (python, None, [("PYTHONMALLOC", "malloc")])}

    def run(self, variants):
        """[(case, variant, instructions or what went wrong)]; several at a time, because nothing here depends on
        time."""
        by_name = {variant.name: variant for variant in variants}
        jobs, programs, found = {}, self.whole_programs(), []
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(self.bench.cpus)) as pool:
            for case, words in programs.items():
                for name in ("bare", "empty", "heapspy"):
                    jobs[case, name] = pool.submit(self.program, by_name[name], words)
            for op in OPS:
                for name in ("bare", "empty", "heapspy"):
                    jobs[op, name] = pool.submit(self.operation, by_name[name], op)
            try:
                concurrent.futures.wait(jobs.values())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for (case, name), job in jobs.items():
            result = job.exception() or job.result()
            if case in programs and not job.exception():
                result, output = result
                if jobs[case, "bare"].exception() or output != jobs[case, "bare"].result()[1]:
                    result = Wrong("its output is not that of the bare program")
            found.append((case, name, result))
        return found
