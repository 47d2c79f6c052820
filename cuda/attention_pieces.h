// How the rows of a batch are divided for attention, on the host: those that follow each other attend together,
// in pieces of a block each (attention_rows.cu), the others one by one (attention_unit.cuh).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cuda/forward.h"

namespace puna::cuda {

// Fewer rows that follow each other attend one by one: a block goes through all that they see, where a row
// alone is split over many.
constexpr size_t kFewestTogether = 8;

struct AttentionPieces {
    std::vector<AttentionPiece>
        pieces;                    // those that see the most first: short ones are left for the end
    std::vector<int32_t> alone;    // rows
    int32_t n_pages_of_alone = 0;  // of the one that sees the most
};

// Makes them anew; there is no more of either than rows. No piece has rows of two views.
void divide_rows(const puna_model_spec& spec, std::span<const puna_batch_row> rows,
                 AttentionPieces& divided);

}  // namespace puna::cuda
