#include "cpu/kernels/linear_panel_amx.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kBytes = 4;
    static __m512i load(const uint8_t* at, __mmask16 low, __mmask16 high) {
        return to_bf16(_mm512_maskz_loadu_ps(low, at),
                       _mm512_maskz_loadu_ps(high, at + 16 * kBytes));
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static __m512 load_half(const uint8_t* at, __mmask16 lanes) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
    }
    static __m512i load(const uint8_t* at, __mmask16 low, __mmask16 high) {
        return to_bf16(load_half(at, low), load_half(at + 16 * kBytes, high));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static __m512i load(const uint8_t* at, __mmask16 low, __mmask16 high) {
        return _mm512_maskz_loadu_epi16(low | static_cast<__mmask32>(high) << 16, at);
    }
};

template <class Element>
struct Floats {
    static int64_t bytes_of(int64_t n) { return n * Element::kBytes; }

    [[gnu::always_inline]] static inline void unpack(const uint8_t* at, int64_t n, PanelRow& row) {
        int64_t j = 0;
        for (; n - j >= kStep; j += kStep, at += kStep * Element::kBytes) {
            row.store(j / kStep, Element::load(at, 0xffff, 0xffff));
        }
        if (j < n) {
            row.store(j / kStep, Element::load(at, lanes_before(n, j), lanes_before(n, j + 16)));
        }
    }
};

}  // namespace

void panel_f32_amx(const PanelBlock& block) {
    multiply_panels<Floats<F32>>(block);
}
void panel_f16_amx(const PanelBlock& block) {
    multiply_panels<Floats<F16>>(block);
}
void panel_bf16_amx(const PanelBlock& block) {
    multiply_panels<Floats<BF16>>(block);
}

}  // namespace puna::core
