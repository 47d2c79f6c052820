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

}  // namespace puna::test
