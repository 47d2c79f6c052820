#include "cpu/kernel_table.h"

#include <bit>
#include <cstring>
#include <iterator>
#include <string>

#include "base/cpu_features.h"
#include "cpu/kernel_sets.h"
#include "puna/puna_backend.h"

namespace puna::core {

// Weights and cache are read as they lie in memory.
static_assert(std::endian::native == std::endian::little);
static_assert(static_cast<int32_t>(kKvPage) == static_cast<int32_t>(PUNA_KV_PAGE));

namespace {

template <class Fn>
struct Row {
    int32_t key;
    Fn run;
};

// Panel kernels that take the same packed rows.
struct PanelRows {
    const RowPacking* packing;
    std::span<const Row<PanelFn>> rows;  // by PUNA_FORMAT_*
};

// What one set brings; rows that it lacks come from lower sets.
struct KernelSet {
    const char* name = "";
    uint64_t features = 0;
    std::span<const Row<LinearFn>> linear = {};  // by PUNA_FORMAT_*
    std::span<const PanelRows> panel = {};
    std::span<const Row<KvEncodeFn>> kv_encode = {};            // by PUNA_KV_*
    std::span<const Row<AttentionFn>> attention_scores = {};    // by PUNA_KV_*
    std::span<const Row<AttentionFn>> attention_values = {};    // by PUNA_KV_*
    std::span<const Row<AttentionRowsFn>> attention_rows = {};  // by PUNA_KV_*
    AttentionMemoryFn attention_memory = nullptr;               // for all of them
    SoftmaxFn softmax = nullptr;
    std::span<const Row<NormFn>> norm = {};              // by PUNA_NORM_*
    std::span<const Row<ActivationFn>> activation = {};  // by PUNA_ACTIVATION_*
    std::span<const Row<RopeFn>> rope = {};              // by PUNA_ROPE_*
};

constexpr Row<LinearFn> kLinearScalar[] = {
    {PUNA_FORMAT_F32, linear_f32_scalar},         {PUNA_FORMAT_F16, linear_f16_scalar},
    {PUNA_FORMAT_BF16, linear_bf16_scalar},       {PUNA_FORMAT_Q4_0, linear_q4_0_scalar},
    {PUNA_FORMAT_Q4_1, linear_q4_1_scalar},       {PUNA_FORMAT_Q5_0, linear_q5_0_scalar},
    {PUNA_FORMAT_Q5_1, linear_q5_1_scalar},       {PUNA_FORMAT_Q8_0, linear_q8_0_scalar},
    {PUNA_FORMAT_Q2_K, linear_q2_k_scalar},       {PUNA_FORMAT_Q3_K, linear_q3_k_scalar},
    {PUNA_FORMAT_Q4_K, linear_q4_k_scalar},       {PUNA_FORMAT_Q5_K, linear_q5_k_scalar},
    {PUNA_FORMAT_Q6_K, linear_q6_k_scalar},       {PUNA_FORMAT_IQ1_S, linear_iq1_s_scalar},
    {PUNA_FORMAT_IQ1_M, linear_iq1_m_scalar},     {PUNA_FORMAT_IQ2_XXS, linear_iq2_xxs_scalar},
    {PUNA_FORMAT_IQ2_XS, linear_iq2_xs_scalar},   {PUNA_FORMAT_IQ2_S, linear_iq2_s_scalar},
    {PUNA_FORMAT_IQ3_XXS, linear_iq3_xxs_scalar}, {PUNA_FORMAT_IQ3_S, linear_iq3_s_scalar},
    {PUNA_FORMAT_IQ4_NL, linear_iq4_nl_scalar},   {PUNA_FORMAT_IQ4_XS, linear_iq4_xs_scalar},
    {PUNA_FORMAT_MXFP4, linear_mxfp4_scalar},     {PUNA_FORMAT_TQ1_0, linear_tq1_0_scalar},
    {PUNA_FORMAT_TQ2_0, linear_tq2_0_scalar},
};
constexpr Row<KvEncodeFn> kKvEncodeScalar[] = {
    {PUNA_KV_F16, kv_encode_f16_scalar},
    {PUNA_KV_F32, kv_encode_f32_scalar},
    {PUNA_KV_BF16, kv_encode_bf16_scalar},
    {PUNA_KV_Q8_0, kv_encode_q8_0_scalar},
};
constexpr Row<AttentionFn> kScoresScalar[] = {
    {PUNA_KV_F16, attention_scores_f16_scalar},
    {PUNA_KV_F32, attention_scores_f32_scalar},
    {PUNA_KV_BF16, attention_scores_bf16_scalar},
    {PUNA_KV_Q8_0, attention_scores_q8_0_scalar},
};
constexpr Row<AttentionFn> kValuesScalar[] = {
    {PUNA_KV_F16, attention_values_f16_scalar},
    {PUNA_KV_F32, attention_values_f32_scalar},
    {PUNA_KV_BF16, attention_values_bf16_scalar},
    {PUNA_KV_Q8_0, attention_values_q8_0_scalar},
};
constexpr Row<NormFn> kNormScalar[] = {
    {PUNA_NORM_RMS, norm_rms_scalar},
    {PUNA_NORM_LAYER, norm_layer_scalar},
};
constexpr Row<ActivationFn> kActivationScalar[] = {
    {PUNA_ACTIVATION_SILU, activation_silu_scalar},
    {PUNA_ACTIVATION_GELU, activation_gelu_scalar},
    {PUNA_ACTIVATION_GELU_TANH, activation_gelu_tanh_scalar},
};
constexpr Row<RopeFn> kRopeScalar[] = {
    {PUNA_ROPE_NONE, rope_pairs_scalar},  // of no pairs
    {PUNA_ROPE_PAIRS, rope_pairs_scalar},
    {PUNA_ROPE_HALVES, rope_halves_scalar},
};

#if PUNA_HAVE_KERNELS_AVX2
constexpr Row<LinearFn> kLinearAvx2[] = {
    {PUNA_FORMAT_F32, linear_f32_avx2},       {PUNA_FORMAT_F16, linear_f16_avx2},
    {PUNA_FORMAT_BF16, linear_bf16_avx2},     {PUNA_FORMAT_Q4_0, linear_q4_0_avx2},
    {PUNA_FORMAT_Q4_1, linear_q4_1_avx2},     {PUNA_FORMAT_Q5_0, linear_q5_0_avx2},
    {PUNA_FORMAT_Q5_1, linear_q5_1_avx2},     {PUNA_FORMAT_Q8_0, linear_q8_0_avx2},
    {PUNA_FORMAT_Q2_K, linear_q2_k_avx2},     {PUNA_FORMAT_Q3_K, linear_q3_k_avx2},
    {PUNA_FORMAT_Q4_K, linear_q4_k_avx2},     {PUNA_FORMAT_Q5_K, linear_q5_k_avx2},
    {PUNA_FORMAT_Q6_K, linear_q6_k_avx2},     {PUNA_FORMAT_IQ4_NL, linear_iq4_nl_avx2},
    {PUNA_FORMAT_IQ4_XS, linear_iq4_xs_avx2}, {PUNA_FORMAT_MXFP4, linear_mxfp4_avx2},
};
constexpr Row<KvEncodeFn> kKvEncodeAvx2[] = {
    {PUNA_KV_F16, kv_encode_f16_avx2},
    {PUNA_KV_BF16, kv_encode_bf16_avx2},
    {PUNA_KV_Q8_0, kv_encode_q8_0_avx2},
};
constexpr Row<PanelFn> kPanelBytesAvx2[] = {
    {PUNA_FORMAT_Q4_0, panel_q4_0_avx2}, {PUNA_FORMAT_Q4_1, panel_q4_1_avx2},
    {PUNA_FORMAT_Q5_0, panel_q5_0_avx2}, {PUNA_FORMAT_Q5_1, panel_q5_1_avx2},
    {PUNA_FORMAT_Q2_K, panel_q2_k_avx2}, {PUNA_FORMAT_Q3_K, panel_q3_k_avx2},
    {PUNA_FORMAT_Q4_K, panel_q4_k_avx2}, {PUNA_FORMAT_Q5_K, panel_q5_k_avx2},
    {PUNA_FORMAT_Q6_K, panel_q6_k_avx2}, {PUNA_FORMAT_MXFP4, panel_mxfp4_avx2},
};
constexpr Row<PanelFn> kPanelWordsAvx2[] = {
    {PUNA_FORMAT_Q8_0, panel_q8_0_avx2},
    {PUNA_FORMAT_IQ4_NL, panel_iq4_nl_avx2},
    {PUNA_FORMAT_IQ4_XS, panel_iq4_xs_avx2},
};
// Measured on Zen 4 with Q4_0, Q6_K and Q8_0: from these numbers of rows on panels win. On Zen 5, by AVX-VNNI
// as well, five rows of the former and six of the latter take as long either way.
constexpr RowPacking kBytesAvx2 = {8, 5, pack_bytes_avx2, packed_bytes_avx2};
constexpr RowPacking kWordsAvx2 = {8, 6, pack_words_avx2, packed_words_avx2};
constexpr Row<PanelFn> kPanelFloatsAvx2[] = {
    {PUNA_FORMAT_F32, panel_f32_avx2},
    {PUNA_FORMAT_F16, panel_f16_avx2},
    {PUNA_FORMAT_BF16, panel_bf16_avx2},
};
// Measured on Zen 4 with F32 and F16 matrices of 32 to 64 MB: panels are as fast with 8 rows, 0.9 times
// with 9, and faster from 12 on.
constexpr RowPacking kFloatsAvx2 = {8, 12, pack_floats_avx2, packed_floats_avx2};
constexpr PanelRows kPanelAvx2[] = {{&kBytesAvx2, kPanelBytesAvx2},
                                    {&kWordsAvx2, kPanelWordsAvx2},
                                    {&kFloatsAvx2, kPanelFloatsAvx2}};
constexpr Row<AttentionFn> kScoresAvx2[] = {
    {PUNA_KV_F16, attention_scores_f16_avx2},
    {PUNA_KV_F32, attention_scores_f32_avx2},
    {PUNA_KV_BF16, attention_scores_bf16_avx2},
    {PUNA_KV_Q8_0, attention_scores_q8_0_avx2},
};
constexpr Row<AttentionFn> kValuesAvx2[] = {
    {PUNA_KV_F16, attention_values_f16_avx2},
    {PUNA_KV_F32, attention_values_f32_avx2},
    {PUNA_KV_BF16, attention_values_bf16_avx2},
    {PUNA_KV_Q8_0, attention_values_q8_0_avx2},
};
constexpr Row<NormFn> kNormAvx2[] = {{PUNA_NORM_RMS, norm_rms_avx2}};
constexpr Row<ActivationFn> kActivationAvx2[] = {
    {PUNA_ACTIVATION_SILU, activation_silu_avx2},
};
constexpr Row<RopeFn> kRopeAvx2[] = {
    {PUNA_ROPE_NONE, rope_pairs_avx2},
    {PUNA_ROPE_PAIRS, rope_pairs_avx2},
    {PUNA_ROPE_HALVES, rope_halves_avx2},
};
#endif

#if PUNA_HAVE_KERNELS_AVX2_VNNI
constexpr Row<LinearFn> kLinearAvx2Vnni[] = {
    {PUNA_FORMAT_Q4_0, linear_q4_0_avx2_vnni},     {PUNA_FORMAT_Q4_1, linear_q4_1_avx2_vnni},
    {PUNA_FORMAT_Q5_0, linear_q5_0_avx2_vnni},     {PUNA_FORMAT_Q5_1, linear_q5_1_avx2_vnni},
    {PUNA_FORMAT_Q8_0, linear_q8_0_avx2_vnni},     {PUNA_FORMAT_Q2_K, linear_q2_k_avx2_vnni},
    {PUNA_FORMAT_Q3_K, linear_q3_k_avx2_vnni},     {PUNA_FORMAT_Q4_K, linear_q4_k_avx2_vnni},
    {PUNA_FORMAT_Q5_K, linear_q5_k_avx2_vnni},     {PUNA_FORMAT_Q6_K, linear_q6_k_avx2_vnni},
    {PUNA_FORMAT_IQ4_NL, linear_iq4_nl_avx2_vnni}, {PUNA_FORMAT_IQ4_XS, linear_iq4_xs_avx2_vnni},
    {PUNA_FORMAT_MXFP4, linear_mxfp4_avx2_vnni},
};
constexpr Row<PanelFn> kPanelBytesAvx2Vnni[] = {
    {PUNA_FORMAT_Q4_0, panel_q4_0_avx2_vnni},     {PUNA_FORMAT_Q4_1, panel_q4_1_avx2_vnni},
    {PUNA_FORMAT_Q5_0, panel_q5_0_avx2_vnni},     {PUNA_FORMAT_Q5_1, panel_q5_1_avx2_vnni},
    {PUNA_FORMAT_Q8_0, panel_q8_0_avx2_vnni},     {PUNA_FORMAT_Q2_K, panel_q2_k_avx2_vnni},
    {PUNA_FORMAT_Q3_K, panel_q3_k_avx2_vnni},     {PUNA_FORMAT_Q4_K, panel_q4_k_avx2_vnni},
    {PUNA_FORMAT_Q5_K, panel_q5_k_avx2_vnni},     {PUNA_FORMAT_Q6_K, panel_q6_k_avx2_vnni},
    {PUNA_FORMAT_IQ4_NL, panel_iq4_nl_avx2_vnni}, {PUNA_FORMAT_IQ4_XS, panel_iq4_xs_avx2_vnni},
    {PUNA_FORMAT_MXFP4, panel_mxfp4_avx2_vnni},
};
constexpr PanelRows kPanelAvx2Vnni[] = {{&kBytesAvx2, kPanelBytesAvx2Vnni}};
#endif

#if PUNA_HAVE_KERNELS_AVX512
constexpr Row<LinearFn> kLinearAvx512[] = {
    {PUNA_FORMAT_F32, linear_f32_avx512},       {PUNA_FORMAT_F16, linear_f16_avx512},
    {PUNA_FORMAT_BF16, linear_bf16_avx512},     {PUNA_FORMAT_Q4_0, linear_q4_0_avx512},
    {PUNA_FORMAT_Q4_1, linear_q4_1_avx512},     {PUNA_FORMAT_Q5_0, linear_q5_0_avx512},
    {PUNA_FORMAT_Q5_1, linear_q5_1_avx512},     {PUNA_FORMAT_Q8_0, linear_q8_0_avx512},
    {PUNA_FORMAT_Q2_K, linear_q2_k_avx512},     {PUNA_FORMAT_Q3_K, linear_q3_k_avx512},
    {PUNA_FORMAT_Q4_K, linear_q4_k_avx512},     {PUNA_FORMAT_Q5_K, linear_q5_k_avx512},
    {PUNA_FORMAT_Q6_K, linear_q6_k_avx512},     {PUNA_FORMAT_IQ4_NL, linear_iq4_nl_avx512},
    {PUNA_FORMAT_IQ4_XS, linear_iq4_xs_avx512}, {PUNA_FORMAT_MXFP4, linear_mxfp4_avx512},
};
constexpr Row<PanelFn> kPanelBytesAvx512[] = {
    {PUNA_FORMAT_Q4_0, panel_q4_0_avx512},     {PUNA_FORMAT_Q4_1, panel_q4_1_avx512},
    {PUNA_FORMAT_Q5_0, panel_q5_0_avx512},     {PUNA_FORMAT_Q5_1, panel_q5_1_avx512},
    {PUNA_FORMAT_Q8_0, panel_q8_0_avx512},     {PUNA_FORMAT_Q2_K, panel_q2_k_avx512},
    {PUNA_FORMAT_Q3_K, panel_q3_k_avx512},     {PUNA_FORMAT_Q4_K, panel_q4_k_avx512},
    {PUNA_FORMAT_Q5_K, panel_q5_k_avx512},     {PUNA_FORMAT_Q6_K, panel_q6_k_avx512},
    {PUNA_FORMAT_IQ4_NL, panel_iq4_nl_avx512}, {PUNA_FORMAT_IQ4_XS, panel_iq4_xs_avx512},
    {PUNA_FORMAT_MXFP4, panel_mxfp4_avx512},
};
// Measured with Q8_0 and Q4_K: on Zen 5 batches of 5 give 1.15 times the tokens a second of batches of 4, which are
// multiplied as few rows.
constexpr RowPacking kBytesAvx512 = {.group = 16,
                                     .fewest_rows = 5,
                                     .pack = pack_rows_avx512,
                                     .bytes = packed_bytes_avx512,
                                     .memory = panel_memory_avx512};
constexpr Row<PanelFn> kPanelFloatsAvx512[] = {
    {PUNA_FORMAT_F32, panel_f32_avx512},
    {PUNA_FORMAT_F16, panel_f16_avx512},
    {PUNA_FORMAT_BF16, panel_bf16_avx512},
};
// On Zen 4 0.9 times as fast with 8 rows, and faster from 12 on.
constexpr RowPacking kFloatsAvx512 = {16, 12, pack_floats_avx512, packed_floats_avx512};
constexpr PanelRows kPanelAvx512[] = {{&kBytesAvx512, kPanelBytesAvx512},
                                      {&kFloatsAvx512, kPanelFloatsAvx512}};
constexpr Row<AttentionFn> kScoresAvx512[] = {
    {PUNA_KV_F16, attention_scores_f16_avx512},
    {PUNA_KV_F32, attention_scores_f32_avx512},
    {PUNA_KV_BF16, attention_scores_bf16_avx512},
    {PUNA_KV_Q8_0, attention_scores_q8_0_avx512},
};
constexpr Row<AttentionFn> kValuesAvx512[] = {
    {PUNA_KV_F16, attention_values_f16_avx512},
    {PUNA_KV_F32, attention_values_f32_avx512},
    {PUNA_KV_BF16, attention_values_bf16_avx512},
    {PUNA_KV_Q8_0, attention_values_q8_0_avx512},
};
constexpr Row<NormFn> kNormAvx512[] = {{PUNA_NORM_RMS, norm_rms_avx512}};
constexpr Row<ActivationFn> kActivationAvx512[] = {
    {PUNA_ACTIVATION_SILU, activation_silu_avx512},
};
#endif

#if PUNA_HAVE_KERNELS_AVX512_GFNI
constexpr Row<LinearFn> kLinearAvx512Gfni[] = {
    {PUNA_FORMAT_Q4_0, linear_q4_0_avx512_gfni}, {PUNA_FORMAT_Q2_K, linear_q2_k_avx512_gfni},
    {PUNA_FORMAT_Q3_K, linear_q3_k_avx512_gfni}, {PUNA_FORMAT_Q4_K, linear_q4_k_avx512_gfni},
    {PUNA_FORMAT_Q5_K, linear_q5_k_avx512_gfni}, {PUNA_FORMAT_Q6_K, linear_q6_k_avx512_gfni},
};
#endif

#if PUNA_HAVE_KERNELS_AVX512_BF16
constexpr Row<PanelFn> kPanelBf16Avx512Bf16[] = {{PUNA_FORMAT_BF16, panel_bf16_avx512_bf16}};
// On Zen 4 faster from 5 rows on.
constexpr RowPacking kBf16Avx512Bf16 = {16, 5, pack_bf16_avx512_bf16, packed_bf16_avx512_bf16};
constexpr PanelRows kPanelAvx512Bf16[] = {{&kBf16Avx512Bf16, kPanelBf16Avx512Bf16}};
#endif

#if PUNA_HAVE_KERNELS_AMX
constexpr Row<PanelFn> kPanelBf16Amx[] = {
    {PUNA_FORMAT_F32, panel_f32_amx},       {PUNA_FORMAT_F16, panel_f16_amx},
    {PUNA_FORMAT_BF16, panel_bf16_amx},     {PUNA_FORMAT_Q4_0, panel_q4_0_amx},
    {PUNA_FORMAT_Q4_1, panel_q4_1_amx},     {PUNA_FORMAT_Q5_0, panel_q5_0_amx},
    {PUNA_FORMAT_Q5_1, panel_q5_1_amx},     {PUNA_FORMAT_Q8_0, panel_q8_0_amx},
    {PUNA_FORMAT_Q2_K, panel_q2_k_amx},     {PUNA_FORMAT_Q3_K, panel_q3_k_amx},
    {PUNA_FORMAT_Q4_K, panel_q4_k_amx},     {PUNA_FORMAT_Q5_K, panel_q5_k_amx},
    {PUNA_FORMAT_Q6_K, panel_q6_k_amx},     {PUNA_FORMAT_IQ4_NL, panel_iq4_nl_amx},
    {PUNA_FORMAT_IQ4_XS, panel_iq4_xs_amx}, {PUNA_FORMAT_MXFP4, panel_mxfp4_amx},
};
constexpr Row<AttentionRowsFn> kAttentionRowsAmx[] = {
    {PUNA_KV_F16, attention_rows_f16_amx},
    {PUNA_KV_F32, attention_rows_f32_amx},
    {PUNA_KV_BF16, attention_rows_bf16_amx},
    {PUNA_KV_Q8_0, attention_rows_q8_0_amx},
};
constexpr RowPacking kBf16Amx = {.group = 16,
                                 .fewest_rows = 5,
                                 .pack = pack_rows_amx,
                                 .bytes = packed_bytes_amx,
                                 .slice = kSliceColumnsAmx,
                                 .memory = panel_memory_amx,
                                 .gates = true};
constexpr Row<PanelFn> kPanelBytesAmx[] = {
    {PUNA_FORMAT_Q4_0, panel_bytes_q4_0_amx},     {PUNA_FORMAT_Q4_1, panel_bytes_q4_1_amx},
    {PUNA_FORMAT_Q5_0, panel_bytes_q5_0_amx},     {PUNA_FORMAT_Q5_1, panel_bytes_q5_1_amx},
    {PUNA_FORMAT_Q8_0, panel_bytes_q8_0_amx},     {PUNA_FORMAT_IQ4_NL, panel_bytes_iq4_nl_amx},
    {PUNA_FORMAT_IQ4_XS, panel_bytes_iq4_xs_amx}, {PUNA_FORMAT_MXFP4, panel_bytes_mxfp4_amx},
};
constexpr RowPacking kBytesAmx = {.group = 8,
                                  .fewest_rows = 5,
                                  .pack = pack_bytes_amx,
                                  .bytes = packed_row_bytes_amx,
                                  .most_rows = 8};
constexpr Row<PanelFn> kPanelIntegersAmx[] = {
    {PUNA_FORMAT_Q2_K, panel_integers_q2_k_amx}, {PUNA_FORMAT_Q3_K, panel_integers_q3_k_amx},
    {PUNA_FORMAT_Q4_K, panel_integers_q4_k_amx}, {PUNA_FORMAT_Q5_K, panel_integers_q5_k_amx},
    {PUNA_FORMAT_Q6_K, panel_integers_q6_k_amx},
};
constexpr RowPacking kChunksAmx = {.group = 8,
                                   .fewest_rows = 5,
                                   .pack = pack_chunks_amx,
                                   .bytes = packed_chunk_bytes_amx,
                                   .most_rows = 8};
constexpr PanelRows kPanelAmx[] = {
    {&kBf16Amx, kPanelBf16Amx}, {&kBytesAmx, kPanelBytesAmx}, {&kChunksAmx, kPanelIntegersAmx}};
#endif

#if PUNA_HAVE_KERNELS_NEON
constexpr Row<LinearFn> kLinearNeon[] = {
    {PUNA_FORMAT_F32, linear_f32_neon},       {PUNA_FORMAT_F16, linear_f16_neon},
    {PUNA_FORMAT_BF16, linear_bf16_neon},     {PUNA_FORMAT_Q4_0, linear_q4_0_neon},
    {PUNA_FORMAT_Q4_1, linear_q4_1_neon},     {PUNA_FORMAT_Q5_0, linear_q5_0_neon},
    {PUNA_FORMAT_Q5_1, linear_q5_1_neon},     {PUNA_FORMAT_Q8_0, linear_q8_0_neon},
    {PUNA_FORMAT_Q2_K, linear_q2_k_neon},     {PUNA_FORMAT_Q3_K, linear_q3_k_neon},
    {PUNA_FORMAT_Q4_K, linear_q4_k_neon},     {PUNA_FORMAT_Q5_K, linear_q5_k_neon},
    {PUNA_FORMAT_Q6_K, linear_q6_k_neon},     {PUNA_FORMAT_IQ4_NL, linear_iq4_nl_neon},
    {PUNA_FORMAT_IQ4_XS, linear_iq4_xs_neon}, {PUNA_FORMAT_MXFP4, linear_mxfp4_neon},
};
constexpr Row<PanelFn> kPanelBytesNeon[] = {
    {PUNA_FORMAT_Q4_0, panel_q4_0_neon},     {PUNA_FORMAT_Q4_1, panel_q4_1_neon},
    {PUNA_FORMAT_Q5_0, panel_q5_0_neon},     {PUNA_FORMAT_Q5_1, panel_q5_1_neon},
    {PUNA_FORMAT_Q8_0, panel_q8_0_neon},     {PUNA_FORMAT_Q2_K, panel_q2_k_neon},
    {PUNA_FORMAT_Q3_K, panel_q3_k_neon},     {PUNA_FORMAT_Q4_K, panel_q4_k_neon},
    {PUNA_FORMAT_Q5_K, panel_q5_k_neon},     {PUNA_FORMAT_Q6_K, panel_q6_k_neon},
    {PUNA_FORMAT_IQ4_NL, panel_iq4_nl_neon}, {PUNA_FORMAT_IQ4_XS, panel_iq4_xs_neon},
    {PUNA_FORMAT_MXFP4, panel_mxfp4_neon},
};
// By their instructions panels pay from 2 rows on, but up to 4 rows keep 16 bits of activations.
constexpr RowPacking kBytesNeon = {4, 5, pack_rows_neon, packed_bytes_neon};
constexpr PanelRows kPanelNeon[] = {{&kBytesNeon, kPanelBytesNeon}};
constexpr Row<AttentionFn> kScoresNeon[] = {
    {PUNA_KV_F16, attention_scores_f16_neon},
    {PUNA_KV_F32, attention_scores_f32_neon},
};
constexpr Row<AttentionFn> kValuesNeon[] = {
    {PUNA_KV_F16, attention_values_f16_neon},
    {PUNA_KV_F32, attention_values_f32_neon},
};
constexpr Row<NormFn> kNormNeon[] = {{PUNA_NORM_RMS, norm_rms_neon}};
constexpr Row<ActivationFn> kActivationNeon[] = {
    {PUNA_ACTIVATION_SILU, activation_silu_neon},
};
constexpr Row<RopeFn> kRopeNeon[] = {
    {PUNA_ROPE_NONE, rope_pairs_neon},
    {PUNA_ROPE_PAIRS, rope_pairs_neon},
    {PUNA_ROPE_HALVES, rope_halves_neon},
};
#endif

#if PUNA_HAVE_KERNELS_NEON_I8MM
constexpr Row<PanelFn> kPanelBytesNeonI8mm[] = {
    {PUNA_FORMAT_Q4_0, panel_q4_0_neon_i8mm},     {PUNA_FORMAT_Q4_1, panel_q4_1_neon_i8mm},
    {PUNA_FORMAT_Q5_0, panel_q5_0_neon_i8mm},     {PUNA_FORMAT_Q5_1, panel_q5_1_neon_i8mm},
    {PUNA_FORMAT_Q8_0, panel_q8_0_neon_i8mm},     {PUNA_FORMAT_Q2_K, panel_q2_k_neon_i8mm},
    {PUNA_FORMAT_Q3_K, panel_q3_k_neon_i8mm},     {PUNA_FORMAT_Q4_K, panel_q4_k_neon_i8mm},
    {PUNA_FORMAT_Q5_K, panel_q5_k_neon_i8mm},     {PUNA_FORMAT_Q6_K, panel_q6_k_neon_i8mm},
    {PUNA_FORMAT_IQ4_NL, panel_iq4_nl_neon_i8mm}, {PUNA_FORMAT_IQ4_XS, panel_iq4_xs_neon_i8mm},
    {PUNA_FORMAT_MXFP4, panel_mxfp4_neon_i8mm},
};
constexpr PanelRows kPanelNeonI8mm[] = {{&kBytesNeon, kPanelBytesNeonI8mm}};
#endif

// The lowest first. A set inherits from those before it that its own features cover.
constexpr KernelSet kSets[] = {
    {.name = "scalar",
     .features = 0,
     .linear = kLinearScalar,
     .kv_encode = kKvEncodeScalar,
     .attention_scores = kScoresScalar,
     .attention_values = kValuesScalar,
     .softmax = softmax_scalar,
     .norm = kNormScalar,
     .activation = kActivationScalar,
     .rope = kRopeScalar},
#if PUNA_HAVE_KERNELS_AVX2
    {.name = "avx2",
     .features = PUNA_KERNEL_SET_AVX2_FEATURES,
     .linear = kLinearAvx2,
     .panel = kPanelAvx2,
     .kv_encode = kKvEncodeAvx2,
     .attention_scores = kScoresAvx2,
     .attention_values = kValuesAvx2,
     .softmax = softmax_avx2,
     .norm = kNormAvx2,
     .activation = kActivationAvx2,
     .rope = kRopeAvx2},
#endif
#if PUNA_HAVE_KERNELS_AVX2_VNNI
    {.name = "avx2_vnni",
     .features = PUNA_KERNEL_SET_AVX2_VNNI_FEATURES,
     .linear = kLinearAvx2Vnni,
     .panel = kPanelAvx2Vnni},
#endif
#if PUNA_HAVE_KERNELS_AVX512
    {.name = "avx512",
     .features = PUNA_KERNEL_SET_AVX512_FEATURES,
     .linear = kLinearAvx512,
     .panel = kPanelAvx512,
     .attention_scores = kScoresAvx512,
     .attention_values = kValuesAvx512,
     .softmax = softmax_avx512,
     .norm = kNormAvx512,
     .activation = kActivationAvx512},
#endif
#if PUNA_HAVE_KERNELS_AVX512_GFNI
    {.name = "avx512_gfni",
     .features = PUNA_KERNEL_SET_AVX512_GFNI_FEATURES,
     .linear = kLinearAvx512Gfni},
#endif
#if PUNA_HAVE_KERNELS_AVX512_BF16
    {.name = "avx512_bf16",
     .features = PUNA_KERNEL_SET_AVX512_BF16_FEATURES,
     .panel = kPanelAvx512Bf16},
#endif
#if PUNA_HAVE_KERNELS_AMX
    {.name = "amx",
     .features = PUNA_KERNEL_SET_AMX_FEATURES,
     .panel = kPanelAmx,
     .attention_rows = kAttentionRowsAmx,
     .attention_memory = attention_memory_amx},
#endif
#if PUNA_HAVE_KERNELS_NEON
    {.name = "neon",
     .features = PUNA_KERNEL_SET_NEON_FEATURES,
     .linear = kLinearNeon,
     .panel = kPanelNeon,
     .attention_scores = kScoresNeon,
     .attention_values = kValuesNeon,
     .softmax = softmax_neon,
     .norm = kNormNeon,
     .activation = kActivationNeon,
     .rope = kRopeNeon},
#endif
#if PUNA_HAVE_KERNELS_NEON_I8MM
    {.name = "neon_i8mm", .features = PUNA_KERNEL_SET_NEON_I8MM_FEATURES, .panel = kPanelNeonI8mm},
#endif
};

constexpr const char* kSetNames[] = {
    "scalar",
#if PUNA_HAVE_KERNELS_AVX2
    "avx2",
#endif
#if PUNA_HAVE_KERNELS_AVX2_VNNI
    "avx2_vnni",
#endif
#if PUNA_HAVE_KERNELS_AVX512
    "avx512",
#endif
#if PUNA_HAVE_KERNELS_AVX512_GFNI
    "avx512_gfni",
#endif
#if PUNA_HAVE_KERNELS_AVX512_BF16
    "avx512_bf16",
#endif
#if PUNA_HAVE_KERNELS_AMX
    "amx",
#endif
#if PUNA_HAVE_KERNELS_NEON
    "neon",
#endif
#if PUNA_HAVE_KERNELS_NEON_I8MM
    "neon_i8mm",
#endif
};
static_assert(std::size(kSets) == std::size(kSetNames));

template <class Fn>
void overlay(KernelEntry<Fn>* entries, std::span<const Row<Fn>> rows, const char* set) {
    for (const Row<Fn>& row : rows) entries[row.key] = {row.run, set};
}

void overlay(KernelTable& table, const KernelSet& set) {
    overlay(table.linear, set.linear, set.name);
    for (const PanelRows& panels : set.panel) {
        PanelEntry* entries =
            panels.packing->is_for_small_batches() ? table.small_panel : table.panel;
        for (const Row<PanelFn>& row : panels.rows) {
            entries[row.key] = {{row.run, set.name}, panels.packing};
        }
    }
    overlay(table.kv_encode, set.kv_encode, set.name);
    overlay(table.attention_scores, set.attention_scores, set.name);
    overlay(table.attention_values, set.attention_values, set.name);
    for (const Row<AttentionRowsFn>& row : set.attention_rows) {
        table.attention_rows[row.key] = {{row.run, set.name}, set.attention_memory};
    }
    overlay(table.norm, set.norm, set.name);
    overlay(table.activation, set.activation, set.name);
    overlay(table.rope, set.rope, set.name);
    if (set.softmax) table.softmax = {set.softmax, set.name};
}

bool covers(uint64_t features, uint64_t needed) {
    return (needed & ~features) == 0;
}

Result<const KernelSet*> find_set(uint64_t cpu_features, const char* forced) {
    const bool by_name = forced && *forced;
    const KernelSet* found = nullptr;
    for (const KernelSet& set : kSets) {
        if (by_name ? std::strcmp(set.name, forced) == 0 : covers(cpu_features, set.features)) {
            found = &set;
        }
    }
    if (!found) {
        std::string names;
        for (const KernelSet& set : kSets) {
            names += names.empty() ? "" : ", ";
            names += set.name;
        }
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "kernels: this build has no kernel set '%s': it has %s", forced,
                           names.c_str());
    }
    if (!covers(cpu_features, found->features)) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "kernels: this processor does not run the kernel set '%s'", forced);
    }
    return found;
}

}  // namespace

BackendLimits limits_of(const KernelTable& kernels) {
    BackendLimits limits = {.name = "CPU", .most_head_dim = INT32_MAX};
    for (int32_t i = 0; i < KernelTable::kNorms; ++i) {
        if (kernels.norm[i].run) limits.norms |= 1u << i;
    }
    for (int32_t i = 0; i < KernelTable::kActivations; ++i) {
        if (kernels.activation[i].run) limits.activations |= 1u << i;
    }
    for (int32_t i = 0; i < KernelTable::kKvTypes; ++i) {
        if (kernels.has_kv_type(i)) limits.kv_types |= 1u << i;
    }
    return limits;
}

std::span<const char* const> kernel_set_names() {
    return kSetNames;
}

Result<KernelTable> choose_kernels(uint64_t cpu_features, const char* forced) {
    PUNA_TRY_ASSIGN(const KernelSet* chosen, find_set(cpu_features, forced));
    KernelTable table;
    table.name = chosen->name;
    table.features = chosen->features;
    if (covers(cpu_features, kCpuIntel)) table.read_order = ReadOrder::kScattered;
    if (covers(cpu_features, kCpuZen5)) table.read_order = ReadOrder::kRowByRow;
    for (const KernelSet* set = kSets; set <= chosen; ++set) {
        if (covers(chosen->features, set->features)) overlay(table, *set);
    }
    return table;
}

}  // namespace puna::core
