// The kinds of models that every backend computes, for tests that compare with SpecModel::reference().
#pragma once

#include <ostream>
#include <vector>

#include "spec_model.h"

namespace puna::test {

struct SpecVariant {
    const char* name;
    void (*change)(SpecModelShape&);  // the shape of small_spec()

    SpecModelShape shape() const;
};

inline void PrintTo(const SpecVariant& variant, std::ostream* out) {
    *out << variant.name;
}

std::vector<SpecVariant> spec_variants();
// Those that a cache is about: the sizes and groups of heads, and what becomes of keys.
std::vector<SpecVariant> cache_variants();

// Caches that round, and how far the logits of those are from the reference at most.
struct RoundedCache {
    int32_t keys, values;  // PUNA_KV_*
    double bound;          // of relative_error()
};
constexpr RoundedCache kRoundedCaches[] = {{PUNA_KV_F16, PUNA_KV_F16, 2e-3},
                                           {PUNA_KV_BF16, PUNA_KV_BF16, 2e-2},
                                           {PUNA_KV_Q8_0, PUNA_KV_Q8_0, 2e-2},
                                           {PUNA_KV_Q8_0, PUNA_KV_F32, 2e-2},
                                           {PUNA_KV_F16, PUNA_KV_Q8_0, 2e-2}};

}  // namespace puna::test
