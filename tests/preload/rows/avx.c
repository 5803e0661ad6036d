/*
 * avx.c - 32-byte registers that are kept on the stack over a call: the frame is realigned for
 * them.
 */
#include <immintrin.h>
#include "rows.h"

static volatile float floats[8];

ROW static __m256 keeps_vector(__m256 vector, unsigned bytes)
{
	__m256 doubled = _mm256_add_ps(vector, vector);

	CALL(ALLOCATE(bytes));
	__asm__ volatile("" : "+m"(doubled));
	return _mm256_add_ps(doubled, vector);
}

ROW static float sums(unsigned bytes)
{
	__m256 vector = _mm256_set1_ps(floats[1]);
	float sum[8];

	vector = keeps_vector(vector, bytes);
	vector = _mm256_add_ps(vector, keeps_vector(_mm256_set1_ps(2), bytes));
	_mm256_storeu_ps(sum, vector);
	return sum[0] + sum[7];
}

int main(void)
{
	float sum = sums(7001);

	expect(7001, "", "keeps_vector sums main start");
	return sum == 12 ? 0 : 1;
}
