#pragma once

#include <cstdint>

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Of n elements of a row that begin with a block: whole blocks.
template <class Format>
constexpr int64_t bytes_of(int64_t n) {
    return n / Format::kBlock * Format::kBlockBytes;
}

}  // namespace
}  // namespace puna::core
