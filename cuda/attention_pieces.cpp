#include "cuda/attention_pieces.h"

#include <algorithm>
#include <functional>

namespace puna::cuda {

namespace {

bool follow_each_other(const puna_batch_row& a, const puna_batch_row& b) {
    return a.view == b.view && a.first <= b.position && b.first <= a.position;
}

int32_t pages_of(const puna_batch_row& row) {
    return row.position / PUNA_KV_PAGE - row.first / PUNA_KV_PAGE + 1;
}

AttentionPiece piece_of(std::span<const puna_batch_row> rows, size_t begin, size_t end) {
    AttentionPiece piece = {static_cast<int32_t>(begin), static_cast<int32_t>(end - begin),
                            rows[begin].first, rows[begin].position};
    for (const puna_batch_row& row : rows.subspan(begin, end - begin)) {
        piece.first = std::min(piece.first, row.first);
        piece.last = std::max(piece.last, row.position);
    }
    return piece;
}

}  // namespace

void divide_rows(const puna_model_spec& spec, std::span<const puna_batch_row> rows,
                 AttentionPieces& divided) {
    const int32_t group = spec.n_head / spec.n_head_kv;
    const auto most = static_cast<size_t>(std::max(1, kQueriesTogether / group));
    divided.pieces.clear();
    divided.alone.clear();
    divided.n_pages_of_alone = 0;
    for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
        end = begin + 1;
        while (end < rows.size() && follow_each_other(rows[end - 1], rows[end])) ++end;
        const bool is_together = end - begin >= kFewestTogether;
        for (size_t i = begin; i < end; i += is_together ? most : 1) {
            if (is_together) {
                divided.pieces.push_back(piece_of(rows, i, std::min(end, i + most)));
            } else {
                divided.alone.push_back(static_cast<int32_t>(i));
                divided.n_pages_of_alone = std::max(divided.n_pages_of_alone, pages_of(rows[i]));
            }
        }
    }
    std::ranges::sort(divided.pieces, std::greater<>(),
                      [](const AttentionPiece& piece) { return piece.last - piece.first; });
}

}  // namespace puna::cuda
