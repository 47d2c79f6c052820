// A 64-bit hash of bytes: finds damage and tells things apart. No defence against those who forge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace puna::core {

// The same on every platform, and part of file formats: its values never change. Two inputs of the
// same length that differ within eight bytes at a multiple of eight always have different hashes.
// The hash of one piece is a good seed for the next.
uint64_t hash64(std::span<const std::byte> bytes, uint64_t seed = 0);

}  // namespace puna::core
