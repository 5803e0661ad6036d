"""Makes a C++ program with much debug info: many units, each with instances of its own of containers."""
import concurrent.futures
import pathlib
import subprocess

HEADER = """\
#include <algorithm>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

template <int N> struct Row { int key; std::string name; std::vector<std::string> tags; };

template <class K, class V> struct Holder {
	std::map<K, V> ordered;
	std::vector<V> list;
	std::set<K> keys;
	std::deque<V> queue;
	std::list<V> chain;
	std::unordered_map<std::string, std::shared_ptr<V>> by_name;
	std::multimap<K, std::pair<K, V>> pairs;
	std::map<std::string, std::vector<V>> deep;
	std::tuple<K, V, std::vector<K>> last;
	std::function<int(K)> count;

	void add(K key)
	{
		ordered[key].tags.push_back(std::to_string(key));
		by_name[std::to_string(key)] = std::make_shared<V>(ordered[key]);
		list.push_back(ordered[key]);
		keys.insert(key);
	}
};

namespace
{

template <int N> struct Local {
	static int weigh(const Row<N> &row) { return row.key + (int)row.tags.size() + N; }
};

}

template <int N> __attribute__((noinline)) int work(int n)
{
	static Holder<int, Row<N>> holder;

	for (int i = 0; i < n; i++)
		holder.add(i);
	std::sort(holder.list.begin(), holder.list.end(), [](const Row<N> &a, const Row<N> &b) {
		return Local<N>::weigh(a) < Local<N>::weigh(b);
	});
	holder.count = [n](int k) { return (int)holder.list.size() + k + n; };
	return holder.count(n) + (int)holder.by_name.size();
}
"""


def write_sources(place, n_units, n_instances):
    """The units, and main.cc, which calls each once. Returns the paths of all."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "unit.h").write_text(HEADER)
    paths = []
    for unit in range(n_units):
        calls = " + ".join(f"work<{unit * n_instances + i}>(n)" for i in range(n_instances))
        paths.append(place / f"unit{unit}.cc")
        paths[-1].write_text(f'#include "unit.h"\nint unit{unit}(int n)\n{{\n\treturn {calls};\n}}\n')
    paths.append(place / "main.cc")
    paths[-1].write_text(
        "".join(f"int unit{unit}(int n);\n" for unit in range(n_units))
        + "int main(int argc, char **)\n{\n\treturn ("
        + " + ".join(f"unit{unit}(argc)" for unit in range(n_units)) + ") == 0;\n}\n")
    return paths


def build(place, n_units, n_instances, compiler="g++", options=("-g", "-O1"), jobs=2):
    """Builds PLACE/program unless it is there, and returns its path."""
    place = pathlib.Path(place)
    program = place / "program"
    if program.exists():
        return program
    sources = write_sources(place, n_units, n_instances)

    def compile_unit(source):
        done = source.with_suffix(".o")
        if not done.exists():
            partial = source.with_suffix(".partial.o")
            subprocess.run([compiler, *options, "-c", source.name, "-o", partial.name], cwd=place,
                           check=True)
            partial.rename(done)
        return done.name

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(compile_unit, sources))
    subprocess.run([compiler, "-Wl,--build-id=sha1", "-o", "program.partial", *objects], cwd=place,
                   check=True)
    (place / "program.partial").rename(program)
    return program
