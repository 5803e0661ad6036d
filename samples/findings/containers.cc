/*
 * containers.cc - a search service whose memory is all in containers of the library.
 *
 * Labels "loaded" before and "indexed" after the documents come in.
 */
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include <heapspy/heapspy.h>

namespace search
{

struct Document {
	unsigned id;
	std::string title, body;
};

class Index
{
	std::unordered_map<std::string, std::vector<unsigned>> postings_;
	std::deque<std::shared_ptr<Document>> documents_;

      public:
	void add_document(std::shared_ptr<Document> document)
	{
		for (unsigned i = 0; i < 60; i++) {
			std::string word = "word" + std::to_string(document->id * i % 100003);

			postings_[word].push_back(document->id);
		}
		documents_.push_back(std::move(document));
	}

	size_t size() const
	{
		return documents_.size();
	}
};

class Synonyms
{
	std::map<std::string, std::string> words_;

      public:
	void load(unsigned count)
	{
		for (unsigned i = 0; i < count; i++)
			words_.emplace("word" + std::to_string(i), std::string(500, 's'));
	}
};

std::shared_ptr<Document> parse_document(unsigned id)
{
	auto document = std::make_shared<Document>();

	document->id = id;
	document->title = "Document number " + std::to_string(id);
	document->body.assign(4000, 'b');
	return document;
}

} // namespace search

int main()
{
	search::Synonyms synonyms;
	search::Index index;

	synonyms.load(30000);
	heapspy_snapshot("loaded");
	for (unsigned id = 0; id < 20000; id++)
		index.add_document(search::parse_document(id));
	heapspy_snapshot("indexed");
	printf("%zu documents indexed\n", index.size());
	return 0;
}
