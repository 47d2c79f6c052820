#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/half_scalar.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kBytes = 4;
    static void load(const uint8_t* from, int64_t count, float* out) {
        std::memcpy(out, from, static_cast<size_t>(4 * count));
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static void load(const uint8_t* from, int64_t count, float* out) {
        load_halves(from, count, out);
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static void load(const uint8_t* from, int64_t count, float* out) {
        for (int64_t i = 0; i < count; ++i) {
            uint16_t half;
            std::memcpy(&half, from + 2 * i, sizeof half);
            const uint32_t bits = uint32_t{half} << 16;
            std::memcpy(out + i, &bits, sizeof bits);
        }
    }
};

template <class Element>
void scores(const AttentionChunk& chunk) {
    for (int32_t page = chunk.begin / kKvPage; page * kKvPage < chunk.end; ++page) {
        const uint8_t* keys = chunk.keys + chunk.pages[page] * chunk.key_page_bytes;
        float sums[kAttentionQueries][kKvPage] = {};
        for (int32_t d = 0; d < chunk.head_dim_k; ++d) {
            float key[kKvPage];
            Element::load(keys + d * kKvPage * Element::kBytes, kKvPage, key);
            for (int32_t h = 0; h < chunk.n_queries; ++h) {
                const float q = chunk.q[h * chunk.head_dim_k + d];
                for (int32_t cell = 0; cell < kKvPage; ++cell) sums[h][cell] += q * key[cell];
            }
        }
        for (int32_t h = 0; h < chunk.n_queries; ++h) {
            float* out = chunk.scores + h * kAttentionChunk + page * kKvPage % kAttentionChunk;
            std::memcpy(out, sums[h], sizeof sums[h]);
        }
    }
}

template <class Element>
void values(const AttentionChunk& chunk) {
    const int32_t dim = chunk.head_dim_v;
    for (int64_t i = 0; i < int64_t{chunk.n_queries} * dim; ++i) chunk.out[i] = 0.0f;
    constexpr int32_t kPiece = 32;
    for (int32_t p = chunk.begin; p < chunk.end; ++p) {
        const uint8_t* cell = chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes +
                              p % kKvPage * int64_t{dim} * Element::kBytes;
        for (int32_t d = 0; d < dim; d += kPiece) {
            const int32_t count = dim - d < kPiece ? dim - d : kPiece;
            float value[kPiece];
            Element::load(cell + d * Element::kBytes, count, value);
            for (int32_t h = 0; h < chunk.n_queries; ++h) {
                const float weight = chunk.scores[h * kAttentionChunk + p % kAttentionChunk];
                float* out = chunk.out + int64_t{h} * dim + d;
                for (int32_t i = 0; i < count; ++i) out[i] += weight * value[i];
            }
        }
    }
}

}  // namespace

void attention_scores_f32_scalar(const AttentionChunk& chunk) {
    scores<F32>(chunk);
}
void attention_scores_f16_scalar(const AttentionChunk& chunk) {
    scores<F16>(chunk);
}
void attention_scores_bf16_scalar(const AttentionChunk& chunk) {
    scores<BF16>(chunk);
}
void attention_values_f32_scalar(const AttentionChunk& chunk) {
    values<F32>(chunk);
}
void attention_values_f16_scalar(const AttentionChunk& chunk) {
    values<F16>(chunk);
}
void attention_values_bf16_scalar(const AttentionChunk& chunk) {
    values<BF16>(chunk);
}

}  // namespace puna::core
