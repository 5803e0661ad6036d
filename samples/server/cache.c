/*
 * cache.c - rendered pages, least recently used first out.
 *
 * Grows to CACHE_BYTES and stays there: on a short look it resembles a leak.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "server.h"

#define N_BUCKETS        4096
#define CACHE_BYTES      (32u << 20)
#define PAGE_BYTES_MIN   4096
#define PAGE_BYTES_RANGE 24576

struct page {
	struct page *next_in_bucket;
	struct page *newer, *older;
	unsigned long number;
	size_t body_bytes;
	char *body;
};

static struct {
	pthread_mutex_t lock; /* guards the whole cache */
	struct page *buckets[N_BUCKETS];
	struct page *newest, *oldest;
	size_t bytes;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void cache_unlink(struct page *page)
{
	*(page->newer ? &page->newer->older : &cache.newest) = page->older;
	*(page->older ? &page->older->newer : &cache.oldest) = page->newer;
}

static void cache_link_newest(struct page *page)
{
	page->newer = NULL;
	page->older = cache.newest;
	*(cache.newest ? &cache.newest->newer : &cache.oldest) = page;
	cache.newest = page;
}

static void cache_evict_oldest(void)
{
	struct page *victim = cache.oldest;
	struct page **link = &cache.buckets[victim->number % N_BUCKETS];

	while (*link != victim)
		link = &(*link)->next_in_bucket;
	*link = victim->next_in_bucket;
	cache_unlink(victim);
	cache.bytes -= victim->body_bytes;
	free(victim->body);
	free(victim);
}

/* Renders a page into the cache, which drops its oldest pages above CACHE_BYTES. */
static struct page *cache_put(unsigned long number)
{
	struct page *page = must(malloc(sizeof(*page)));

	page->number = number;
	page->body_bytes = PAGE_BYTES_MIN + number * 2654435761u % PAGE_BYTES_RANGE;
	page->body = must(malloc(page->body_bytes));
	memset(page->body, 'a' + (int)(number % 26), page->body_bytes);
	while (cache.oldest && cache.bytes + page->body_bytes > CACHE_BYTES)
		cache_evict_oldest();
	page->next_in_bucket = cache.buckets[number % N_BUCKETS];
	cache.buckets[number % N_BUCKETS] = page;
	cache_link_newest(page);
	cache.bytes += page->body_bytes;
	return page;
}

char *cache_get(unsigned long number, size_t *bytes_out)
{
	struct page *page;
	char *copy;

	pthread_mutex_lock(&cache.lock);
	page = cache.buckets[number % N_BUCKETS];
	while (page && page->number != number)
		page = page->next_in_bucket;
	if (page) {
		cache_unlink(page);
		cache_link_newest(page);
	} else {
		page = cache_put(number);
	}
	copy = must(malloc(page->body_bytes));
	memcpy(copy, page->body, page->body_bytes);
	*bytes_out = page->body_bytes;
	pthread_mutex_unlock(&cache.lock);
	return copy;
}

size_t cache_bytes(void)
{
	size_t bytes;

	pthread_mutex_lock(&cache.lock);
	bytes = cache.bytes;
	pthread_mutex_unlock(&cache.lock);
	return bytes;
}
