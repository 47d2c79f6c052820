// What a kernel is: the functions that a kernel set may bring, and their contracts.
//
// Kernel files (kernels/<family>_<set>.cpp) are compiled with the flags of their set, so they must
// not share inline functions with the rest of the program: they include this header, their own
// helpers and intrinsics, use no templates of the standard library, and export only the functions
// declared here. A new format is one file per set, one declaration here and one row in
// kernel_table.cpp.
#pragma once

#include <cstdint>

namespace puna::core {

// ---- Linear layers ------------------------------------------------------------------------------

// How weight rows are read under a single activation row. Processors differ in how many places of memory they follow
// well, and in whether they fetch ahead better by themselves. It does not change results.
enum class ReadOrder : uint8_t {
    kRowsTogether,  // some rows advance together
    kRowByRow,      // as they lie in memory
    kScattered,  // the same, asked for far ahead in an order that the processor does not follow: prefetch_stream()
};

// y[r][i] = sum_j W[i][j] x[r][j] for a block of weight rows and a block of activation rows.
//
// Every y[r][i] is computed by the same additions in the same order whatever n_out and n_rows are,
// so that a result depends neither on the split of the work nor on the neighbours in a batch. A kernel
// may round activations: docs/kernels.md.
struct LinearBlock {
    const void* weights;  // [n_out] rows of row_bytes; not aligned
    int64_t row_bytes;
    int64_t n_in;    // a multiple of the format's block length
    int64_t n_out;   // weight rows, streamed once per 4 activation rows
    int32_t n_rows;  // activation rows
    const float* x;  // [n_rows][n_in], rows x_stride floats apart
    int64_t x_stride;
    float* y;  // [n_rows][n_out], rows y_stride floats apart
    int64_t y_stride;
    ReadOrder read_order = ReadOrder::kRowsTogether;
};
using LinearFn = void (*)(const LinearBlock& block);

void linear_f32_scalar(const LinearBlock& block);
void linear_f16_scalar(const LinearBlock& block);
void linear_bf16_scalar(const LinearBlock& block);
void linear_q4_0_scalar(const LinearBlock& block);
void linear_q4_1_scalar(const LinearBlock& block);
void linear_q5_0_scalar(const LinearBlock& block);
void linear_q5_1_scalar(const LinearBlock& block);
void linear_q8_0_scalar(const LinearBlock& block);
void linear_q2_k_scalar(const LinearBlock& block);
void linear_q3_k_scalar(const LinearBlock& block);
void linear_q4_k_scalar(const LinearBlock& block);
void linear_q5_k_scalar(const LinearBlock& block);
void linear_q6_k_scalar(const LinearBlock& block);
void linear_iq1_s_scalar(const LinearBlock& block);
void linear_iq1_m_scalar(const LinearBlock& block);
void linear_iq2_xxs_scalar(const LinearBlock& block);
void linear_iq2_xs_scalar(const LinearBlock& block);
void linear_iq2_s_scalar(const LinearBlock& block);
void linear_iq3_xxs_scalar(const LinearBlock& block);
void linear_iq3_s_scalar(const LinearBlock& block);
void linear_iq4_nl_scalar(const LinearBlock& block);
void linear_iq4_xs_scalar(const LinearBlock& block);
void linear_mxfp4_scalar(const LinearBlock& block);
void linear_tq1_0_scalar(const LinearBlock& block);
void linear_tq2_0_scalar(const LinearBlock& block);

void linear_f32_avx2(const LinearBlock& block);
void linear_f16_avx2(const LinearBlock& block);
void linear_bf16_avx2(const LinearBlock& block);
void linear_q4_0_avx2(const LinearBlock& block);
void linear_q4_1_avx2(const LinearBlock& block);
void linear_q5_0_avx2(const LinearBlock& block);
void linear_q5_1_avx2(const LinearBlock& block);
void linear_q8_0_avx2(const LinearBlock& block);
void linear_q2_k_avx2(const LinearBlock& block);
void linear_q3_k_avx2(const LinearBlock& block);
void linear_q4_k_avx2(const LinearBlock& block);
void linear_q5_k_avx2(const LinearBlock& block);
void linear_q6_k_avx2(const LinearBlock& block);
void linear_iq4_nl_avx2(const LinearBlock& block);
void linear_iq4_xs_avx2(const LinearBlock& block);
void linear_mxfp4_avx2(const LinearBlock& block);

void linear_q4_0_avx2_vnni(const LinearBlock& block);
void linear_q4_1_avx2_vnni(const LinearBlock& block);
void linear_q5_0_avx2_vnni(const LinearBlock& block);
void linear_q5_1_avx2_vnni(const LinearBlock& block);
void linear_q8_0_avx2_vnni(const LinearBlock& block);
void linear_q2_k_avx2_vnni(const LinearBlock& block);
void linear_q3_k_avx2_vnni(const LinearBlock& block);
void linear_q4_k_avx2_vnni(const LinearBlock& block);
void linear_q5_k_avx2_vnni(const LinearBlock& block);
void linear_q6_k_avx2_vnni(const LinearBlock& block);
void linear_iq4_nl_avx2_vnni(const LinearBlock& block);
void linear_iq4_xs_avx2_vnni(const LinearBlock& block);
void linear_mxfp4_avx2_vnni(const LinearBlock& block);

void linear_f32_avx512(const LinearBlock& block);
void linear_f16_avx512(const LinearBlock& block);
void linear_bf16_avx512(const LinearBlock& block);
void linear_q4_0_avx512(const LinearBlock& block);
void linear_q4_1_avx512(const LinearBlock& block);
void linear_q5_0_avx512(const LinearBlock& block);
void linear_q5_1_avx512(const LinearBlock& block);
void linear_q8_0_avx512(const LinearBlock& block);
void linear_q2_k_avx512(const LinearBlock& block);
void linear_q3_k_avx512(const LinearBlock& block);
void linear_q4_k_avx512(const LinearBlock& block);
void linear_q5_k_avx512(const LinearBlock& block);
void linear_q6_k_avx512(const LinearBlock& block);
void linear_iq4_nl_avx512(const LinearBlock& block);
void linear_iq4_xs_avx512(const LinearBlock& block);
void linear_mxfp4_avx512(const LinearBlock& block);

void linear_q4_0_avx512_gfni(const LinearBlock& block);
void linear_q2_k_avx512_gfni(const LinearBlock& block);
void linear_q3_k_avx512_gfni(const LinearBlock& block);
void linear_q4_k_avx512_gfni(const LinearBlock& block);
void linear_q5_k_avx512_gfni(const LinearBlock& block);
void linear_q6_k_avx512_gfni(const LinearBlock& block);

void linear_f32_neon(const LinearBlock& block);
void linear_f16_neon(const LinearBlock& block);
void linear_bf16_neon(const LinearBlock& block);
void linear_q4_0_neon(const LinearBlock& block);
void linear_q4_1_neon(const LinearBlock& block);
void linear_q5_0_neon(const LinearBlock& block);
void linear_q5_1_neon(const LinearBlock& block);
void linear_q8_0_neon(const LinearBlock& block);
void linear_q2_k_neon(const LinearBlock& block);
void linear_q3_k_neon(const LinearBlock& block);
void linear_q4_k_neon(const LinearBlock& block);
void linear_q5_k_neon(const LinearBlock& block);
void linear_q6_k_neon(const LinearBlock& block);
void linear_iq4_nl_neon(const LinearBlock& block);
void linear_iq4_xs_neon(const LinearBlock& block);
void linear_mxfp4_neon(const LinearBlock& block);

// ---- Linear layers for many rows ----------------------------------------------------------------

// The same product where weight rows are unpacked once for many activation rows. The activations are
// packed first, into what the panel kernels of the set take: that may round them. What a row becomes,
// and its results, do not depend on the rows beside it.
struct PanelBlock {
    const void* weights;  // [n_out] rows of row_bytes; not aligned
    int64_t row_bytes;
    int64_t n_in;  // a multiple of the format's block length
    int64_t n_out;
    int32_t n_rows;
    const void* x;  // [n_rows][n_in], packed by the PackRowsFn that belongs to the kernel
    float* y;       // [n_rows][n_out], rows y_stride floats apart
    int64_t y_stride;
    void* memory;       // as many bytes as the PanelMemoryFn says, aligned to 64; holds anything
    bool adds = false;  // to what y is
    // What follows is for kernels whose packing says that they gate. With `up`, [n_out] rows like
    // `weights`, results are silu(weights x) * (up x), and go not to y but into `gated` as columns of
    // packed rows, from `first_gated` on, a multiple of 16. Of `n_gated` columns, a multiple of 32, all
    // must have been multiplied before they are read.
    const void* up = nullptr;
    void* gated = nullptr;
    int64_t first_gated = 0;
    int64_t n_gated = 0;
};
using PanelFn = void (*)(const PanelBlock& block);

// Packs up to a group of rows of x, x_stride floats apart. n_in is a multiple of the block length of
// the formats that take them; columns up to a multiple of 32 are zeros. The packed rows of a batch are
// its groups one after the other, from an address that is a multiple of 64.
using PackRowsFn = void (*)(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows,
                            void* group);
// The size of 32 columns of n_rows packed rows, all groups but the last being whole.
using PackedBytesFn = int64_t (*)(int64_t n_rows);
// The size of the memory that a panel kernel needs for n_rows rows.
using PanelMemoryFn = int64_t (*)(int64_t n_rows);

void pack_bytes_avx2(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_bytes_avx2(int64_t n_rows);
void pack_words_avx2(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_words_avx2(int64_t n_rows);
void pack_rows_avx512(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_bytes_avx512(int64_t n_rows);
int64_t panel_memory_avx512(int64_t n_rows);

void panel_q4_0_avx2(const PanelBlock& block);
void panel_q4_1_avx2(const PanelBlock& block);
void panel_q5_0_avx2(const PanelBlock& block);
void panel_q5_1_avx2(const PanelBlock& block);
void panel_q8_0_avx2(const PanelBlock& block);
void panel_q2_k_avx2(const PanelBlock& block);
void panel_q3_k_avx2(const PanelBlock& block);
void panel_q4_k_avx2(const PanelBlock& block);
void panel_q5_k_avx2(const PanelBlock& block);
void panel_q6_k_avx2(const PanelBlock& block);
void panel_iq4_nl_avx2(const PanelBlock& block);
void panel_iq4_xs_avx2(const PanelBlock& block);
void panel_mxfp4_avx2(const PanelBlock& block);

void panel_q4_0_avx2_vnni(const PanelBlock& block);
void panel_q4_1_avx2_vnni(const PanelBlock& block);
void panel_q5_0_avx2_vnni(const PanelBlock& block);
void panel_q5_1_avx2_vnni(const PanelBlock& block);
void panel_q8_0_avx2_vnni(const PanelBlock& block);
void panel_q2_k_avx2_vnni(const PanelBlock& block);
void panel_q3_k_avx2_vnni(const PanelBlock& block);
void panel_q4_k_avx2_vnni(const PanelBlock& block);
void panel_q5_k_avx2_vnni(const PanelBlock& block);
void panel_q6_k_avx2_vnni(const PanelBlock& block);
void panel_iq4_nl_avx2_vnni(const PanelBlock& block);
void panel_iq4_xs_avx2_vnni(const PanelBlock& block);
void panel_mxfp4_avx2_vnni(const PanelBlock& block);

void panel_q4_0_avx512(const PanelBlock& block);
void panel_q4_1_avx512(const PanelBlock& block);
void panel_q5_0_avx512(const PanelBlock& block);
void panel_q5_1_avx512(const PanelBlock& block);
void panel_q8_0_avx512(const PanelBlock& block);
void panel_q2_k_avx512(const PanelBlock& block);
void panel_q3_k_avx512(const PanelBlock& block);
void panel_q4_k_avx512(const PanelBlock& block);
void panel_q5_k_avx512(const PanelBlock& block);
void panel_q6_k_avx512(const PanelBlock& block);
void panel_iq4_nl_avx512(const PanelBlock& block);
void panel_iq4_xs_avx512(const PanelBlock& block);
void panel_mxfp4_avx512(const PanelBlock& block);

// Rows are packed as bf16 for `amx` in slices of so many columns, one after the other.
constexpr int64_t kSliceColumnsAmx = 256;
// Its sums wait in so much memory; those of so few rows need none.
constexpr int64_t kSumsBytesAmx = 1 << 20;
constexpr int64_t kSumsInTilesAmx = 32;

void pack_rows_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_bytes_amx(int64_t n_rows);
int64_t panel_memory_amx(int64_t n_rows);

void panel_f32_amx(const PanelBlock& block);
void panel_f16_amx(const PanelBlock& block);
void panel_bf16_amx(const PanelBlock& block);
void panel_q4_0_amx(const PanelBlock& block);
void panel_q4_1_amx(const PanelBlock& block);
void panel_q5_0_amx(const PanelBlock& block);
void panel_q5_1_amx(const PanelBlock& block);
void panel_q8_0_amx(const PanelBlock& block);
void panel_q2_k_amx(const PanelBlock& block);
void panel_q3_k_amx(const PanelBlock& block);
void panel_q4_k_amx(const PanelBlock& block);
void panel_q5_k_amx(const PanelBlock& block);
void panel_q6_k_amx(const PanelBlock& block);
void panel_iq4_nl_amx(const PanelBlock& block);
void panel_iq4_xs_amx(const PanelBlock& block);
void panel_mxfp4_amx(const PanelBlock& block);

void pack_bytes_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_row_bytes_amx(int64_t n_rows);

void panel_bytes_q4_0_amx(const PanelBlock& block);
void panel_bytes_q4_1_amx(const PanelBlock& block);
void panel_bytes_q5_0_amx(const PanelBlock& block);
void panel_bytes_q5_1_amx(const PanelBlock& block);
void panel_bytes_q8_0_amx(const PanelBlock& block);
void panel_bytes_iq4_nl_amx(const PanelBlock& block);
void panel_bytes_iq4_xs_amx(const PanelBlock& block);
void panel_bytes_mxfp4_amx(const PanelBlock& block);

void pack_chunks_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_chunk_bytes_amx(int64_t n_rows);

void panel_integers_q2_k_amx(const PanelBlock& block);
void panel_integers_q3_k_amx(const PanelBlock& block);
void panel_integers_q4_k_amx(const PanelBlock& block);
void panel_integers_q5_k_amx(const PanelBlock& block);
void panel_integers_q6_k_amx(const PanelBlock& block);

void pack_rows_neon(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_bytes_neon(int64_t n_rows);

void panel_q4_0_neon(const PanelBlock& block);
void panel_q4_1_neon(const PanelBlock& block);
void panel_q5_0_neon(const PanelBlock& block);
void panel_q5_1_neon(const PanelBlock& block);
void panel_q8_0_neon(const PanelBlock& block);
void panel_q2_k_neon(const PanelBlock& block);
void panel_q3_k_neon(const PanelBlock& block);
void panel_q4_k_neon(const PanelBlock& block);
void panel_q5_k_neon(const PanelBlock& block);
void panel_q6_k_neon(const PanelBlock& block);
void panel_iq4_nl_neon(const PanelBlock& block);
void panel_iq4_xs_neon(const PanelBlock& block);
void panel_mxfp4_neon(const PanelBlock& block);

void panel_q4_0_neon_i8mm(const PanelBlock& block);
void panel_q4_1_neon_i8mm(const PanelBlock& block);
void panel_q5_0_neon_i8mm(const PanelBlock& block);
void panel_q5_1_neon_i8mm(const PanelBlock& block);
void panel_q8_0_neon_i8mm(const PanelBlock& block);
void panel_q2_k_neon_i8mm(const PanelBlock& block);
void panel_q3_k_neon_i8mm(const PanelBlock& block);
void panel_q4_k_neon_i8mm(const PanelBlock& block);
void panel_q5_k_neon_i8mm(const PanelBlock& block);
void panel_q6_k_neon_i8mm(const PanelBlock& block);
void panel_iq4_nl_neon_i8mm(const PanelBlock& block);
void panel_iq4_xs_neon_i8mm(const PanelBlock& block);
void panel_mxfp4_neon_i8mm(const PanelBlock& block);

void pack_floats_avx2(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group);
int64_t packed_floats_avx2(int64_t n_rows);

void panel_f32_avx2(const PanelBlock& block);
void panel_f16_avx2(const PanelBlock& block);
void panel_bf16_avx2(const PanelBlock& block);

void pack_floats_avx512(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows,
                        void* group);
int64_t packed_floats_avx512(int64_t n_rows);

void panel_f32_avx512(const PanelBlock& block);
void panel_f16_avx512(const PanelBlock& block);
void panel_bf16_avx512(const PanelBlock& block);

void pack_bf16_avx512_bf16(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows,
                           void* group);
int64_t packed_bf16_avx512_bf16(int64_t n_rows);

void panel_bf16_avx512_bf16(const PanelBlock& block);

// ---- The KV cache -------------------------------------------------------------------------------

// n elements of one head of one cell, in order, as the type of the cache keeps them; `out` need not
// be aligned. F16 and BF16 round to nearest, ties to even. Q8_0: blocks of 32 elements and a shorter
// last one, each an F16 scale (the largest magnitude / 127) and then a byte per element, rounded in
// units of that scale as it was rounded itself. A block with NaN, infinity or more than F16 allows
// the scale has bytes 0 and a scale that turns them into NaN. All sets give the same bits.
using KvEncodeFn = void (*)(const float* from, int64_t n, uint8_t* out);

void kv_encode_f32_scalar(const float* from, int64_t n, uint8_t* out);
void kv_encode_f16_scalar(const float* from, int64_t n, uint8_t* out);
void kv_encode_bf16_scalar(const float* from, int64_t n, uint8_t* out);
void kv_encode_q8_0_scalar(const float* from, int64_t n, uint8_t* out);

void kv_encode_f16_avx2(const float* from, int64_t n, uint8_t* out);
void kv_encode_bf16_avx2(const float* from, int64_t n, uint8_t* out);
void kv_encode_q8_0_avx2(const float* from, int64_t n, uint8_t* out);

// ---- Attention ----------------------------------------------------------------------------------

enum : int32_t {
    kKvPage = 32,           // PUNA_KV_PAGE
    kAttentionChunk = 256,  // positions; chunks begin at multiples of it
    kAttentionRows = 32,    // rows that an AttentionRowsFn takes at once
    kAttentionQueries = 8,  // query heads of a KV head that share one pass over its cache
};

// What is read after a chunk: of some pages of the cache what one head needs. None is fine.
struct BlocksAhead {
    const uint8_t* blocks = nullptr;  // that of page 0
    int64_t page_bytes = 0;           // from a page to the next
    int64_t block_bytes = 0;
    const int32_t* pages = nullptr;
    int32_t n_pages = 0;
};

// The part of one KV head's cache that one row sees within one chunk of positions. Keys lie
// transposed within a page, so that scores need no sum across lanes and no width is special.
// Lanes of cells that were never written may hold anything, NaN included: they are computed in
// `scores` beside the visible ones, but never read by softmax and attention_values. cpu/kv_half.h
// has the layout of Q8_0, which differs. A kernel may round queries: docs/kernels.md.
struct AttentionChunk {
    const float* q;          // [n_queries][head_dim_k], already scaled
    const uint8_t* keys;     // page 0 of the head: [head_dim_k][kKvPage]
    const uint8_t* values;   // page 0 of the head: [kKvPage][head_dim_v]
    int64_t key_page_bytes;  // from a page to the next
    int64_t value_page_bytes;
    const int32_t* pages;  // of the sequence, from position 0
    int32_t begin;         // visible positions: begin .. end - 1, all in one chunk
    int32_t end;
    int32_t n_queries;  // 1 .. kAttentionQueries
    int32_t head_dim_k;
    int32_t head_dim_v;
    float* scores;  // [n_queries][kAttentionChunk], position p at p % kAttentionChunk
    float* out;     // [n_queries][head_dim_v]
    BlocksAhead ahead;
};
// attention_scores: scores[h][p] = q[h] . k[p]. attention_values: out[h] = sum_p scores[h][p] v[p].
using AttentionFn = void (*)(const AttentionChunk& chunk);

void attention_scores_f32_scalar(const AttentionChunk& chunk);
void attention_scores_f16_scalar(const AttentionChunk& chunk);
void attention_scores_bf16_scalar(const AttentionChunk& chunk);
void attention_scores_q8_0_scalar(const AttentionChunk& chunk);
void attention_values_f32_scalar(const AttentionChunk& chunk);
void attention_values_f16_scalar(const AttentionChunk& chunk);
void attention_values_bf16_scalar(const AttentionChunk& chunk);
void attention_values_q8_0_scalar(const AttentionChunk& chunk);

void attention_scores_f32_avx2(const AttentionChunk& chunk);
void attention_scores_f16_avx2(const AttentionChunk& chunk);
void attention_scores_bf16_avx2(const AttentionChunk& chunk);
void attention_scores_q8_0_avx2(const AttentionChunk& chunk);
void attention_values_f32_avx2(const AttentionChunk& chunk);
void attention_values_f16_avx2(const AttentionChunk& chunk);
void attention_values_bf16_avx2(const AttentionChunk& chunk);
void attention_values_q8_0_avx2(const AttentionChunk& chunk);

void attention_scores_f32_avx512(const AttentionChunk& chunk);
void attention_scores_f16_avx512(const AttentionChunk& chunk);
void attention_scores_bf16_avx512(const AttentionChunk& chunk);
void attention_scores_q8_0_avx512(const AttentionChunk& chunk);
void attention_values_f32_avx512(const AttentionChunk& chunk);
void attention_values_f16_avx512(const AttentionChunk& chunk);
void attention_values_bf16_avx512(const AttentionChunk& chunk);
void attention_values_q8_0_avx512(const AttentionChunk& chunk);

void attention_scores_f32_neon(const AttentionChunk& chunk);
void attention_scores_f16_neon(const AttentionChunk& chunk);
void attention_values_f32_neon(const AttentionChunk& chunk);
void attention_values_f16_neon(const AttentionChunk& chunk);

// Some query heads of one KV head, of rows of one sequence, over all positions that the rows see. Queries,
// keys, softmax weights and values may be rounded. What a row gets does not depend on the others, as long
// as the values are finite from the first to the last position that one of them sees.
struct AttentionRows {
    const float* q;  // row r, query h: [head_dim_k] at q + r * q_stride + h * head_dim_k; scaled
    int64_t q_stride;
    float* out;  // row r, query h: [head_dim_v] at out + r * out_stride + h * head_dim_v
    int64_t out_stride;
    const uint8_t* keys;  // as in AttentionChunk
    const uint8_t* values;
    int64_t key_page_bytes;
    int64_t value_page_bytes;
    const int32_t* pages;
    const int32_t*
        begin;           // [n_rows]: row r sees the positions begin[r] .. end[r] - 1, at least one
    const int32_t* end;  // [n_rows]
    int32_t n_rows;      // 1 .. kAttentionRows
    int32_t n_queries;   // 1 .. kAttentionQueries
    int32_t head_dim_k;
    int32_t head_dim_v;
    float softcap;  // 0: none; else scores become softcap * tanh(score / softcap)
    void* memory;   // as many bytes as the AttentionMemoryFn says, aligned to 64
};
using AttentionRowsFn = void (*)(const AttentionRows& rows);
using AttentionMemoryFn = int64_t (*)(int64_t head_dim_k, int64_t head_dim_v);

void attention_rows_f32_amx(const AttentionRows& rows);
void attention_rows_f16_amx(const AttentionRows& rows);
void attention_rows_bf16_amx(const AttentionRows& rows);
void attention_rows_q8_0_amx(const AttentionRows& rows);
int64_t attention_memory_amx(int64_t head_dim_k, int64_t head_dim_v);

// ---- Vectors ------------------------------------------------------------------------------------

// x[i] becomes exp(x[i] - largest), where `largest` is the largest of the n >= 1 values and goes
// to *largest; returns the sum of the results.
using SoftmaxFn = float (*)(float* x, int32_t n, float* largest);
// out = norm(x) * gain; out may be x.
using NormFn = void (*)(const float* x, const float* gain, int64_t n, float epsilon, float* out);
// gate[i] = activation(gate[i]) * up[i].
using ActivationFn = void (*)(float* gate, const float* up, int64_t n);
// Turns n_pairs pairs of the head [dim] by the angles of `table` [n_pairs][2], cosine and sine, and multiplies
// all of the head by `scale`. Pair i is 2 i and 2 i + 1, or i and i + n_pairs (halves). The same bits
// with every set.
using RopeFn = void (*)(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);

float softmax_scalar(float* x, int32_t n, float* largest);
void norm_rms_scalar(const float* x, const float* gain, int64_t n, float epsilon, float* out);
void norm_layer_scalar(const float* x, const float* gain, int64_t n, float epsilon, float* out);
void activation_silu_scalar(float* gate, const float* up, int64_t n);
void activation_gelu_scalar(float* gate, const float* up, int64_t n);
void activation_gelu_tanh_scalar(float* gate, const float* up, int64_t n);
void rope_pairs_scalar(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);
void rope_halves_scalar(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);

float softmax_avx2(float* x, int32_t n, float* largest);
void norm_rms_avx2(const float* x, const float* gain, int64_t n, float epsilon, float* out);
void activation_silu_avx2(float* gate, const float* up, int64_t n);
void rope_pairs_avx2(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);
void rope_halves_avx2(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);

float softmax_avx512(float* x, int32_t n, float* largest);
void norm_rms_avx512(const float* x, const float* gain, int64_t n, float epsilon, float* out);
void activation_silu_avx512(float* gate, const float* up, int64_t n);

float softmax_neon(float* x, int32_t n, float* largest);
void norm_rms_neon(const float* x, const float* gain, int64_t n, float epsilon, float* out);
void activation_silu_neon(float* gate, const float* up, int64_t n);
void rope_pairs_neon(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);
void rope_halves_neon(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head);

}  // namespace puna::core
