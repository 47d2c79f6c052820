// A sequence as bytes: tokens and KV cells, for saving a conversation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace puna::core {

class Sequence;

// All three need that no generation runs on the sequence and no batch is under way.

// Bytes that save_sequence writes.
Result<uint64_t> saved_size(const Sequence& sequence);
// `out` has exactly that size.
Status save_sequence(Sequence& sequence, std::span<std::byte> out);
// The sequence is empty. On failure it stays so. PUNA_ERROR_FORMAT, _TRUNCATED, _FORMAT_VERSION,
// _FOREIGN_STATE, _CONTEXT_FULL, _NO_CELLS.
Status restore_sequence(Sequence& sequence, std::span<const std::byte> data);

}  // namespace puna::core
