/*
 * sample_math.h - the arithmetic of sampling: when to sample, what a sample weighs, what thinning
 * keeps. One routine for both halves, so that the command recomputes exactly what the preloaded
 * library has summed.
 *
 * Everything here is integer or fixed point: no floating point (a target may trap its exceptions
 * or change its rounding mode), no call into libc, no allocation, no lock, errno untouched. Every
 * function is pure but for the generator state it is handed, so all are safe in any thread and any
 * signal handler, and the same input gives the same bits on every machine. Costs, warm, on a server
 * core of 2020: a gap some 10 ns, the weights of a sample 15 to 30 ns.
 *
 * THE MODEL. Lay all bytes that a thread asks for on a line, one allocation after the other, and
 * scatter marks over the line by a Poisson process of one mark per R bytes (the interval). A block
 * is sampled iff at least one mark falls on it. With s the requested size, s' = max(s, 1):
 *
 *	p = 1 - exp(-s'/R)	chance of a block to be sampled, independent of all other blocks
 *
 * The thread needs only the distance to the next mark, because that distance has no memory:
 *
 *	left -= s';
 *	if (left < 0) {			a borrow: exactly zero bytes left is not yet a sample
 *		sample the block;
 *		left = sample_gap_bytes(sample_rng_next(&rng), R);
 *	}
 *
 * with `left` drawn in the same way at the start of the thread and after a change of R. Testing
 * `left <= 0`, adding the new gap to the old remainder, or starting with left = 0 all oversample.
 *
 * Each sample then stands for 1/p blocks (Horvitz and Thompson, JASA 47:663, 1952):
 *
 *	b = s/p			bytes it stands for		-> R + s/2 for s << R, s for s >> R
 *	c = 1/p			blocks it stands for		-> R/s, 1
 *	v = s^2 (1-p)/p^2	variance of b			-> R^2, 0
 *
 * Sums of b and c over samples are unbiased for the true sums over blocks, whatever the mix of
 * sizes, and the sum of v is unbiased for the variance of the sum of b. The weights are rounded
 * here, once per sample, so that sums of them are exact, free of order, and cancel to zero. The
 * variance of c needs no field of its own: it is c (c - 1). Of b, v/R bytes are as uncertain as a
 * Poisson count of steps of R is, and the rest is as good as certain: R and s/2 for s << R, 0 and s
 * for s >> R.
 *
 * EXAMPLES, R = 524288 (512 KiB):
 *	16 bytes: p = 0.0000305, b = 524296, c = 32768.5. One sample of a 16-byte block stands for
 *		32768.5 such blocks, 512 KiB in all, give or take 512 KiB.
 *	1 MiB: p = 0.865, b = 1212697, c = 1.157. One such block in seven goes unseen, and those
 *		that are seen make up for it.
 *	64 MiB: p = 1 but for 3e-56, b = s, c = 1, v = 0. Nothing is left to chance.
 *	R = 1 (or 0): every block is sampled, b = s, c = 1, v = 0: an exact count.
 *
 * THINNING. A sample carries u, 32 random bits drawn at its birth, when the interval was R0. It
 * belongs to a larger interval R iff u/2^32 < p(s,R)/p(s,R0). What is kept has the law of sampling
 * at R from the start; the weights to use are then those of R. The chance to be kept falls as R
 * grows, so that levels are nested: thinning in one step or in many leaves the same samples.
 * u resolves a keep chance of 2^-d to a relative 2^(d-33), hence at most 20 doublings (0.012 %).
 */
#ifndef HEAPSPY_SAMPLE_MATH_H
#define HEAPSPY_SAMPLE_MATH_H

#include <stdbool.h>
#include <stdint.h>

/* Larger intervals are taken as this one, larger sizes as SAMPLE_SIZE_MAX. */
#define SAMPLE_INTERVAL_MAX (UINT64_C(1) << 50)
#define SAMPLE_SIZE_MAX     (UINT64_C(1) << 48)

/* One block of weight 1.0 in the unit of sample_weight.count_1024. */
#define SAMPLE_COUNT_UNIT 1024

/* Thresholds of sample_keep_threshold(): this one keeps every u. */
#define SAMPLE_KEEP_ALL (UINT64_C(1) << 32)

__extension__ typedef unsigned __int128 sample_u128;

/* Random numbers: splitmix64 (Steele, Lea and Flood, OOPSLA 2014). Eight bytes of state, zero is
 * a valid one, one thread each. */
struct sample_rng {
	uint64_t state;
};

struct sample_weight {
	uint64_t bytes;      /* b, bytes; 0 for s = 0 */
	uint64_t count_1024; /* c, blocks, in units of 1/1024 */
	uint64_t variance;   /* v, in units of 2^variance_unit_log2 B^2; stops at UINT64_MAX */
	uint64_t chance;     /* v/R, the bytes of b that were left to chance; never above b */
};

/* ---- implementation: constants ---- */

/*
 * x = s'/R is held with SAMPLE_X_BITS fractional bits. From SAMPLE_X_CERTAIN on p is 1 to the last
 * bit and v below half a unit at any interval. Below SAMPLE_X_SERIES_Q57 (1/16) series in x serve,
 * above it the table of powers of two.
 */
#define SAMPLE_X_BITS       57
#define SAMPLE_X_CERTAIN    100
#define SAMPLE_X_SERIES_Q57 (UINT64_C(1) << (SAMPLE_X_BITS - 4))

#define SAMPLE_LN2_Q58   UINT64_C(0x02c5c85fdf473de7)
#define SAMPLE_LN2_Q64   UINT64_C(0xb17217f7d1cf79ac)
#define SAMPLE_LOG2E_Q63 UINT64_C(0xb8aa3b295c17f0bc)

/* Row i: c = 128/(65+i) with 63 fractional bits, and ln c with 64; c g is just below 1 for g in
 * [(64+i)/128, (65+i)/128). */
static const struct {
	uint64_t reciprocal_q63, log_q64;
} sample_log_table[64] = {
	/* clang-format off */
	{ 0xfc0fc0fc0fc0fc10, 0xad7a02e1b24efd32 }, { 0xf83e0f83e0f83e10, 0xa991713433c2b999 },
	{ 0xf4898d5f85bb3950, 0xa5b7eb7cb860fb88 }, { 0xf0f0f0f0f0f0f0f1, 0xa1ecff97c91e267b },
	{ 0xed7303b5cc0ed730, 0x9e304061b5fda919 }, { 0xea0ea0ea0ea0ea0f, 0x9a81456cec642e10 },
	{ 0xe6c2b4481cd85689, 0x96dfaabd86fa1647 }, { 0xe38e38e38e38e38e, 0x934b1089a6dc93c2 },
	{ 0xe070381c0e070382, 0x8fc31afe30b2c6df }, { 0xdd67c8a60dd67c8a, 0x8c47720791e53313 },
	{ 0xda740da740da740e, 0x88d7c11e3ad53cdd }, { 0xd79435e50d79435e, 0x8573b71682a7d21b },
	{ 0xd4c77b03531dec0d, 0x821b05f3b01d6774 }, { 0xd20d20d20d20d20d, 0x7ecd62bde92210bf },
	{ 0xcf6474a8819ec8e9, 0x7b8a855ad04f93fa }, { 0xcccccccccccccccd, 0x785228689c9b3654 },
	{ 0xca4587e6b74f0329, 0x7524091b7be9add8 }, { 0xc7ce0c7ce0c7ce0c, 0x71ffe71d15532490 },
	{ 0xc565c87b5f9d4d1c, 0x6ee5846e038bec2e }, { 0xc30c30c30c30c30c, 0x6bd4a5492337419d },
	{ 0xc0c0c0c0c0c0c0c1, 0x68cd100893e9e323 }, { 0xbe82fa0be82fa0bf, 0x65ce8d0c4d5ab73c },
	{ 0xbc52640bc52640bc, 0x62d8e6a22cb7d28f }, { 0xba2e8ba2e8ba2e8c, 0x5febe8ef60546fb8 },
	{ 0xb81702e05c0b8170, 0x5d0761db19eec584 }, { 0xb60b60b60b60b60b, 0x5a2b20fa71a85069 },
	{ 0xb40b40b40b40b40b, 0x5756f77d657cbe9a }, { 0xb21642c8590b2164, 0x548ab81ce28f5f38 },
	{ 0xb02c0b02c0b02c0b, 0x51c63709c7106c19 }, { 0xae4c415c9882b931, 0x4f0949dcccc60ed5 },
	{ 0xac7691840ac76918, 0x4c53c7874d738ec2 }, { 0xaaaaaaaaaaaaaaab, 0x49a58844d36e49e1 },
	{ 0xa8e83f5717c0a8e8, 0x46fe658d69ae5376 }, { 0xa72f05397829cbc1, 0x445e3a089f91ef78 },
	{ 0xa57eb50295fad40a, 0x41c4e181356189cd }, { 0xa3d70a3d70a3d70a, 0x3f3238d96766f2fb },
	{ 0xa237c32b16cfd772, 0x3ca61dffce202424 }, { 0xa0a0a0a0a0a0a0a1, 0x3a206fe4cabcf6b1 },
	{ 0x9f1165e7254813e2, 0x37a10e7077b15a1e }, { 0x9d89d89d89d89d8a, 0x3527da7915b3c6df },
	{ 0x9c09c09c09c09c0a, 0x32b4b5b9ee02fe45 }, { 0x9a90e7d95bc609a9, 0x304782caa3478377 },
	{ 0x991f1a515885fb37, 0x2de02516ead57739 }, { 0x97b425ed097b425f, 0x2b7e80d6a87b63f7 },
	{ 0x964fda6c0964fda7, 0x29227b06676ac1bd }, { 0x94f2094f2094f209, 0x26cbf9602b202c5f },
	{ 0x939a85c40939a85c, 0x247ae25493840348 }, { 0x9249249249249249, 0x222f1d044fc8f7bc },
	{ 0x90fdbc090fdbc091, 0x1fe89139dbd56595 }, { 0x8fb823ee08fb823f, 0x1da727638446a250 },
	{ 0x8e78356d1408e783, 0x1b6ac88dad5b1bdf }, { 0x8d3dcb08d3dcb08d, 0x19335e5d594988ae },
	{ 0x8c08c08c08c08c09, 0x1700d30aeac0e0f5 }, { 0x8ad8f2fba9386823, 0x14d3115d207eac5e },
	{ 0x89ae4089ae4089ae, 0x12aa04a44717a48b }, { 0x8888888888888889, 0x108598b59e3a068a },
	{ 0x8767ab5f34e47ef1, 0x0e65b9e6eed965c3 }, { 0x864b8a7de6d1d608, 0x0c4a550a4fd9a19a },
	{ 0x8534085340853408, 0x0a33576a16f1f4c6 }, { 0x8421084210842108, 0x0820aec4f3a22238 },
	{ 0x83126e978d4fdf3b, 0x0612494a3232afa2 }, { 0x8208208208208208, 0x0408159624d611d2 },
	{ 0x8102040810204081, 0x020202aeb11bce25 }, { 0x8000000000000000, 0x0000000000000000 },
	/* clang-format on */
};

/* Row i: 2^(-i/64) with 64 fractional bits, the first one less the last bit. */
static const uint64_t sample_exp2_table[64] = {
	/* clang-format off */
	0xffffffffffffffff, 0xfd3e0c0cf486c175, 0xfa83b2db722a033a, 0xf7d0df730ad13bb9,
	0xf5257d152486cc2c, 0xf281773c59ffb13a, 0xefe4b99bdcdaf5cb, 0xed4f301ed9942b84,
	0xeac0c6e7dd24392f, 0xe8396a503c4bdc68, 0xe5b906e77c8348a8, 0xe33f8972be8a5a51,
	0xe0ccdeec2a94e111, 0xde60f4825e0e9124, 0xdbfbb797daf23755, 0xd99d15c278afd7b6,
	0xd744fccad69d6af4, 0xd4f35aabcfedfa1f, 0xd2a81d91f12ae45a, 0xd06333daef2b2595,
	0xce248c151f8480e4, 0xcbec14fef2727c5d, 0xc9b9bd866e2f27a3, 0xc78d74c8abb9b15d,
	0xc5672a115506dadd, 0xc346ccda24976407, 0xc12c4cca66709456, 0xbf1799b67a731083,
	0xbd08a39f580c36bf, 0xbaff5ab2133e45fb, 0xb8fbaf4762fb9ee9, 0xb6fd91e328d17791,
	0xb504f333f9de6484, 0xb311c412a9112489, 0xb123f581d2ac2590, 0xaf3b78ad690a4375,
	0xad583eea42a14ac6, 0xab7a39b5a93ed337, 0xa9a15ab4ea7c0ef8, 0xa7cd93b4e965356a,
	0xa5fed6a9b15138ea, 0xa43515ae09e6809e, 0xa27043030c496819, 0xa0b0510fb9714fc2,
	0x9ef5326091a111ae, 0x9d3ed9a72cffb751, 0x9b8d39b9d54e5539, 0x99e0459320b7fa65,
	0x9837f0518db8a96f, 0x96942d3720185a00, 0x94f4efa8fef70961, 0x935a2b2f13e6e92c,
	0x91c3d373ab11c336, 0x9031dc431466b1dc, 0x8ea4398b45cd53c0, 0x8d1adf5b7e5ba9e6,
	0x8b95c1e3ea8bd6e7, 0x8a14d575496efd9a, 0x88980e8092da8527, 0x871f61969e8d1010,
	0x85aac367cc487b15, 0x843a28c3acde4046, 0x82cd8698ac2ba1d7, 0x8164d1f3bc030773,
	/* clang-format on */
};

/* ---- random numbers ---- */

/* The next 64 random bits, uniform. About 1 ns. */
static inline uint64_t sample_rng_next(struct sample_rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/*
 * Start a generator. Any seed is good: seeds are mixed first, so that neighbouring ones (thread
 * ids, clock ticks) lead to unrelated places of the sequence.
 */
static inline void sample_rng_seed(struct sample_rng *rng, uint64_t seed)
{
	rng->state = seed ^ UINT64_C(0x6a09e667f3bcc909);
	rng->state = sample_rng_next(rng);
}

/* ---- fixed point ---- */

/* High half of a 128-bit product: a product of two 64-bit fractions. */
static inline uint64_t sample_mul(uint64_t a, uint64_t b)
{
	return (uint64_t)((sample_u128)a * b >> 64);
}

static inline uint64_t sample_interval_clamp(uint64_t interval_bytes)
{
	return interval_bytes < SAMPLE_INTERVAL_MAX ? interval_bytes : SAMPLE_INTERVAL_MAX;
}

/* s', the length of a block on the line; for the countdown, too. */
static inline uint64_t sample_length(uint64_t size)
{
	return size < SAMPLE_SIZE_MAX ? size + (size == 0) : SAMPLE_SIZE_MAX;
}

/*
 * What x = s'/R alone decides: b = R f and v = R^2 g, with f = x/p and g = x^2 (1-p)/p^2, held as
 * g_mantissa 2^-50 2^-g_shift because it falls below any fixed number of bits.
 */
struct sample_shape {
	uint64_t f_q57;
	uint64_t g_mantissa;
	unsigned g_shift;
};

/* x below SAMPLE_X_SERIES_Q57: f = 1 + x/2 + x^2/12 - x^4/720 ..., g = 1 - x^2/12 + x^4/240 ...,
 * truncated below 2e-11. Products of fractions of 64 bits; UINT64_MAX / n stands for 1/n. */
static inline struct sample_shape sample_shape_by_series(uint64_t x_q57)
{
	uint64_t x = x_q57 << (64 - SAMPLE_X_BITS);
	uint64_t x2 = sample_mul(x, x);
	uint64_t f = x / 2 + x2 / 12 - sample_mul(x2, x2) / 720;
	uint64_t g = sample_mul(x2, UINT64_MAX / 12 - sample_mul(x2, UINT64_MAX / 240));
	struct sample_shape shape;

	shape.f_q57 = (UINT64_C(1) << SAMPLE_X_BITS) + (f >> (64 - SAMPLE_X_BITS));
	shape.g_mantissa = (UINT64_C(1) << 50) - (g >> 14);
	shape.g_shift = 0;
	return shape;
}

/* x from there to SAMPLE_X_CERTAIN: exp(-x) = 2^-k 2^(-i/64) exp(-w) with w < ln(2)/64. */
static inline struct sample_shape sample_shape_by_table(uint64_t x_q57)
{
	uint64_t e_q56 = sample_mul(x_q57, SAMPLE_LOG2E_Q63);
	unsigned k = (unsigned)(e_q56 >> 56);
	uint64_t power = sample_exp2_table[(e_q56 >> 50) & 63];
	uint64_t w = sample_mul(e_q56 << 14, SAMPLE_LN2_Q64) >> 6;
	struct sample_shape shape;
	uint64_t fall, mantissa, p;

	/* 1 - exp(-w) = w - w^2 (1/2 - w/6 + w^2/24 ...), truncated below 2e-12. */
	fall = UINT64_MAX / 2 - sample_mul(w, UINT64_MAX / 6 - w / 24);
	fall = w - sample_mul(w, sample_mul(w, fall));
	mantissa = power - sample_mul(power, fall);

	/* p with 64 fractional bits; 1 itself becomes the largest fraction. */
	p = UINT64_MAX - (k < 64 ? mantissa >> k : 0);
	shape.f_q57 = (uint64_t)(((sample_u128)x_q57 << 64) / p);
	shape.g_mantissa = sample_mul(sample_mul(shape.f_q57, shape.f_q57), mantissa);
	shape.g_shift = k;
	return shape;
}

/* Requires 2 <= R <= SAMPLE_INTERVAL_MAX and 1 <= s' < SAMPLE_X_CERTAIN R. */
static inline struct sample_shape sample_shape_of(uint64_t length, uint64_t interval_bytes)
{
	sample_u128 length_q57 = (sample_u128)length << SAMPLE_X_BITS;
	uint64_t x_q57;

	/* A power of two needs no 128-bit division. */
	if ((interval_bytes & (interval_bytes - 1)) == 0)
		x_q57 = (uint64_t)(length_q57 >> __builtin_ctzll(interval_bytes));
	else
		x_q57 = (uint64_t)(length_q57 / interval_bytes);
	return x_q57 < SAMPLE_X_SERIES_Q57 ? sample_shape_by_series(x_q57)
					   : sample_shape_by_table(x_q57);
}

/* ---- what the halves call ---- */

/*
 * Distance to the next mark in bytes: floor(-ln(U) R), U = (random64 + 1) / 2^64, so in (0, 1].
 * `interval_bytes` is R, 0..SAMPLE_INTERVAL_MAX; 0 and 1 give 0 (every block is sampled). The
 * result is below 45 R; against the real number it is off by at most one byte or a relative 1e-9.
 */
static inline uint64_t sample_gap_bytes(uint64_t random64, uint64_t interval_bytes)
{
	uint64_t v = random64 + 1;
	uint64_t g, y, y2, h, log_q58;
	unsigned e, i;

	interval_bytes = sample_interval_clamp(interval_bytes);
	if (interval_bytes <= 1 || v == 0)
		return 0;

	/* U = 2^-e g with g in [1/2, 1), and g c = 1 - y with 0 < y <= 1/65. */
	e = (unsigned)__builtin_clzll(v);
	g = v << e;
	i = (unsigned)(g >> 57) & 63;
	y = (uint64_t) - ((sample_u128)g * sample_log_table[i].reciprocal_q63 >> 63);

	/* -ln(1-y) = y + y^2 (1/2 + y/3 + y^2/4 + y^3/5 ...): short by at most 2e-10 of itself. */
	h = UINT64_MAX / 4 + sample_mul(y, UINT64_MAX / 5);
	h = UINT64_MAX / 3 + sample_mul(y, h);
	h = UINT64_MAX / 2 + sample_mul(y, h);
	y2 = sample_mul(y, y);
	log_q58 = e * SAMPLE_LN2_Q58 + ((sample_log_table[i].log_q64 + y + sample_mul(y2, h)) >> 6);
	return (uint64_t)((sample_u128)log_q58 * interval_bytes >> 58);
}

/*
 * Unit of variances for a run that starts at the given interval R0 (bytes, any value): 2^n B^2
 * with n = max(0, 2 floor(log2 R0) - 22). It leaves 22 to 24 bits for R0^2, so that rounding does
 * not eat the variance of small intervals, and room for 20 doublings before v reaches UINT64_MAX.
 * At 512 KiB the unit is 2^16 B^2.
 */
static inline unsigned sample_variance_unit_log2(uint64_t initial_interval_bytes)
{
	unsigned log2r =
		initial_interval_bytes ? 63 - (unsigned)__builtin_clzll(initial_interval_bytes) : 0;

	return log2r > 11 ? 2 * log2r - 22 : 0;
}

/*
 * Weights of a sampled block. `size` in bytes, 0..SAMPLE_SIZE_MAX; `interval_bytes` the R at which
 * the sample counts, 0..SAMPLE_INTERVAL_MAX; `variance_unit_log2` 0..78, from
 * sample_variance_unit_log2() of the run's first interval. Each field is off by at most a relative
 * 1e-9 or one unit.
 */
static inline struct sample_weight sample_weight(
	uint64_t size, uint64_t interval_bytes, unsigned variance_unit_log2)
{
	struct sample_weight weight = { 0, SAMPLE_COUNT_UNIT, 0, 0 };
	struct sample_shape shape;
	uint64_t length = sample_length(size);
	uint64_t r = sample_interval_clamp(interval_bytes);
	sample_u128 b_q57, v;
	unsigned normalize, shift;

	if (size > SAMPLE_SIZE_MAX)
		size = SAMPLE_SIZE_MAX;
	if (r <= 1 || length / SAMPLE_X_CERTAIN >= r) {
		weight.bytes = size;
		return weight;
	}
	shape = sample_shape_of(length, r);

	/* b < R + s' < 2^51: 2^13 b still fits a word, which leaves 1/p three spare bits. */
	b_q57 = (sample_u128)r * shape.f_q57;
	weight.count_1024 = ((uint64_t)(b_q57 >> 44) + 4 * length) / (8 * length);
	if (size == 0)
		return weight;
	weight.bytes = (uint64_t)((b_q57 + (UINT64_C(1) << 56)) >> 57);

	/* v/R = R g, which is below R f = b, rounded down. */
	if (shape.g_shift < 64)
		weight.chance =
			(uint64_t)((sample_u128)r * shape.g_mantissa >> 50) >> shape.g_shift;

	/* v = R^2 g, with R^2 scaled to 2^62..2^64. */
	normalize = (unsigned)__builtin_clzll(r);
	v = (sample_u128)sample_mul(r << normalize, r << normalize) * shape.g_mantissa;
	shift = 2 * normalize + shape.g_shift + variance_unit_log2 - 14;
	if (shift >= 128)
		return weight;
	v = (v + ((sample_u128)1 << (shift - 1))) >> shift;
	weight.variance = v >> 64 ? UINT64_MAX : (uint64_t)v;
	return weight;
}

/*
 * Chance, in units of 2^-32, that a sample of `size` bytes drawn at `interval_from` belongs to
 * `interval_to` (both bytes, 0..SAMPLE_INTERVAL_MAX): p(s,to)/p(s,from), which is b(from)/b(to).
 * 0..SAMPLE_KEEP_ALL; SAMPLE_KEEP_ALL where interval_to <= interval_from. Never rises with
 * interval_to.
 */
static inline uint64_t sample_keep_threshold(
	uint64_t size, uint64_t interval_from, uint64_t interval_to)
{
	uint64_t length = sample_length(size);
	uint64_t r[2] = { sample_interval_clamp(interval_from),
		sample_interval_clamp(interval_to) };
	sample_u128 b_q57[2];
	unsigned spare;
	int i;

	if (r[1] <= r[0] || r[1] <= 1)
		return SAMPLE_KEEP_ALL;
	for (i = 0; i < 2; i++) {
		if (r[i] <= 1 || length / SAMPLE_X_CERTAIN >= r[i])
			b_q57[i] = (sample_u128)length << SAMPLE_X_BITS;
		else
			b_q57[i] = (sample_u128)r[i] * sample_shape_of(length, r[i]).f_q57;
	}
	if (b_q57[0] >= b_q57[1])
		return SAMPLE_KEEP_ALL;

	/* b(to) as a word of 64 significant bits; it is at least 2^57, as b >= 1. */
	spare = (unsigned)(b_q57[1] >> 64 ? 64 - __builtin_clzll((uint64_t)(b_q57[1] >> 64)) : 0);
	b_q57[0] >>= spare;
	b_q57[1] >>= spare;
	return (uint64_t)(((b_q57[0] << 32) + (b_q57[1] >> 1)) / (uint64_t)b_q57[1]);
}

/*
 * Whether a sample drawn at `interval_from` with the random bits `u` belongs to `interval_to`.
 * Belonging to an interval implies belonging to every smaller one.
 */
static inline bool sample_belongs(
	uint32_t u, uint64_t size, uint64_t interval_from, uint64_t interval_to)
{
	return u < sample_keep_threshold(size, interval_from, interval_to);
}

#endif
