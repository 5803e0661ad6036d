/* minidebug.c - owns the use of liblzma. What is in the symbol table is read by elf_names.c. */
#include "analyzer/symbols/minidebug.h"

#include <lzma.h>
#include <stdlib.h>

#include "analyzer/symbols/debug_file.h"

#define DECODER_MAX_BYTES (256u << 20)

/* The unpacked bytes, from malloc; NULL: damaged, too large, or out of memory. */
static void *unpack(const void *packed, size_t packed_bytes, size_t *n_bytesp)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t capacity = 0;
	uint8_t *bytes = NULL;
	lzma_ret ret = LZMA_OK;

	if (lzma_stream_decoder(&stream, DECODER_MAX_BYTES, 0) != LZMA_OK)
		return NULL;
	stream.next_in = packed;
	stream.avail_in = packed_bytes;
	while (ret == LZMA_OK) {
		if (stream.avail_out == 0) {
			size_t n = capacity ? 2 * capacity : 64 * 1024;
			uint8_t *grown = n <= MINIDEBUG_MAX_BYTES ? realloc(bytes, n) : NULL;

			if (!grown) {
				ret = LZMA_MEM_ERROR;
				break;
			}
			bytes = grown;
			stream.next_out = bytes + capacity;
			stream.avail_out = n - capacity;
			capacity = n;
		}
		ret = lzma_code(&stream, LZMA_FINISH);
	}
	*n_bytesp = capacity - stream.avail_out;
	if (ret != LZMA_STREAM_END) {
		free(bytes);
		bytes = NULL;
	}
	lzma_end(&stream);
	return bytes;
}

bool minidebug_open(struct debug_file *file, const struct debug_file *own)
{
	Elf_Scn *section = debug_file_section(own->elf, ".gnu_debugdata");
	Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
	size_t n_bytes = 0;

	*file = (struct debug_file){ .fd = -1 };
	if (!data || !data->d_buf || data->d_size == 0)
		return false;
	file->memory = unpack(data->d_buf, data->d_size, &n_bytes);
	if (!file->memory)
		return false;
	file->size_bytes = n_bytes;
	file->elf = elf_memory(file->memory, n_bytes);
	if (file->elf && elf_kind(file->elf) == ELF_K_ELF)
		return true;
	debug_file_close(file);
	return false;
}
