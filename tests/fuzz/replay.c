/*
 * replay.c - gives each file of a directory to a libFuzzer target, without libFuzzer: what it has
 * once found stays found, in every build. TAP: a line for the directory, and the name of each file
 * before its turn, so that the last one is the one to look at.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define FILE_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *directory;

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay(const char *name)
{
	uint8_t *data = malloc(FILE_BYTES_MAX);
	char path[1024];
	size_t bytes;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	printf("# %s\n", name);
	fflush(stdout);
	file = fopen(path, "rb");
	CHECK(file != NULL);
	bytes = file ? fread(data, 1, FILE_BYTES_MAX, file) : 0;
	CHECK(bytes < FILE_BYTES_MAX);
	if (file)
		fclose(file);
	/* To its own size, so that a sanitizer sees the first byte beyond. */
	data = realloc(data, bytes ? bytes : 1);
	LLVMFuzzerTestOneInput(data, bytes);
	free(data);
}

static void test_corpus(void)
{
	struct dirent **entries = NULL;
	int n = scandir(directory, &entries, is_input, alphasort);

	CHECK(n > 0);
	for (int i = 0; i < n; i++) {
		replay(entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	directory = argv[1];
	TAP_RUN(test_corpus);
	return tap_done();
}
