#include "runtime/sequence_state.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "base/checked.h"
#include "base/hash64.h"
#include "format/byte_order.h"
#include "format/kv_format.h"
#include "puna/puna_backend.h"
#include "runtime/context.h"
#include "runtime/sequence.h"

namespace puna::core {
namespace {

// docs/state_format.md describes the whole.
constexpr char kMagic[8] = {'p', 'u', 'n', 'a', '-', 's', 'e', 'q'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderSize = 68;
constexpr size_t kChecksumSize = 8;

// What follows the magic.
struct Header {
    uint32_t version = kVersion;
    uint32_t header_size = kHeaderSize;
    uint64_t size = 0;  // of the whole state
    uint64_t fingerprint = 0;
    int32_t kv_type_k = 0;  // PUNA_KV_*
    int32_t kv_type_v = 0;
    int32_t n_layer = 0;
    int32_t n_head_kv = 0;
    int32_t head_dim_k = 0;
    int32_t head_dim_v = 0;
    int32_t n_tokens = 0;
    int32_t n_valid = 0;      // tokens whose cells are there
    int32_t n_unshifted = 0;  // up to n_tokens, which means all
};

// The fields in their order in the file.
template <class AnyHeader, class Visit>
void for_each_field(AnyHeader& header, Visit&& visit) {
    visit(header.version);
    visit(header.header_size);
    visit(header.size);
    visit(header.fingerprint);
    visit(header.kv_type_k);
    visit(header.kv_type_v);
    visit(header.n_layer);
    visit(header.n_head_kv);
    visit(header.head_dim_k);
    visit(header.head_dim_v);
    visit(header.n_tokens);
    visit(header.n_valid);
    visit(header.n_unshifted);
}

void write_header(const Header& header, std::byte* out) {
    std::memcpy(out, kMagic, sizeof kMagic);
    out += sizeof kMagic;
    for_each_field(header, [&](auto field) {
        store_le(out, field);
        out += sizeof field;
    });
}

Header read_header(const std::byte* data) {
    Header header;
    data += sizeof kMagic;
    for_each_field(header, [&](auto& field) {
        field = load_le<std::remove_reference_t<decltype(field)>>(data);
        data += sizeof field;
    });
    return header;
}

// ---- Sizes -------------------------------------------------------------------------------------

// What one cell of one layer takes. The context has a cache of them, so this is a small number.
uint64_t row_bytes(int32_t kv_type, int32_t n_head_kv, int32_t head_dim) {
    return static_cast<uint64_t>(n_head_kv) * kv_head_bytes(kv_type, head_dim).value_or(0);
}

struct RowBytes {
    explicit RowBytes(const Header& header)
        : keys(row_bytes(header.kv_type_k, header.n_head_kv, header.head_dim_k)),
          values(row_bytes(header.kv_type_v, header.n_head_kv, header.head_dim_v)) {}
    uint64_t keys;
    uint64_t values;
};

// The size of a state with these counts; its dimensions and types are those of a context.
Result<uint64_t> state_size(const Header& header) {
    const RowBytes row(header);
    uint64_t cells = 0;
    uint64_t size = 0;
    if (!checked_mul(row.keys + row.values, static_cast<uint64_t>(header.n_layer), &cells) ||
        !checked_mul(cells, static_cast<uint64_t>(header.n_valid), &cells) ||
        !checked_add(cells, sizeof(int32_t) * static_cast<uint64_t>(header.n_tokens), &size) ||
        !checked_add<uint64_t>(size, kHeaderSize + kChecksumSize, &size)) {
        return make_status(PUNA_ERROR_FORMAT, "a state of %d cells has no size in 64 bits",
                           static_cast<int>(header.n_valid));
    }
    return size;
}

// The header of an empty state of this context.
Header header_for(const Context& context) {
    const HyperParameters& hyper = context.model().file().hyper;
    Header header;
    header.fingerprint = context.model().fingerprint();
    header.kv_type_k = context.limits().kv_type_k;
    header.kv_type_v = context.limits().kv_type_v;
    header.n_layer = hyper.n_layer;
    header.n_head_kv = hyper.n_head_kv;
    header.head_dim_k = hyper.head_dim_k;
    header.head_dim_v = hyper.head_dim_v;
    return header;
}

Result<Header> header_of(const Sequence& sequence) {
    Header header = header_for(sequence.context());
    header.n_tokens = sequence.length();
    header.n_valid = std::min(sequence.n_valid(), header.n_tokens);
    header.n_unshifted = std::min(sequence.n_unshifted(), header.n_tokens);
    PUNA_TRY_ASSIGN(header.size, state_size(header));
    return header;
}

// ---- Cells -------------------------------------------------------------------------------------

// The cells of the first positions, as many as `cells` holds.
void list_cells(std::span<const int32_t> pages, std::span<int32_t> cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
        const auto slot = static_cast<int32_t>(i % PUNA_KV_PAGE);
        cells[i] = pages[i / PUNA_KV_PAGE] * PUNA_KV_PAGE + slot;
    }
}

// Calls transfer(layer, PUNA_KV_KEYS or _VALUES, bytes) for the pieces of `bytes`, in their order.
template <class Byte, class Transfer>
Status for_each_piece(const Header& header, std::span<Byte> bytes, Transfer&& transfer) {
    const RowBytes row(header);
    const auto n_cells = static_cast<size_t>(header.n_valid);
    const size_t n_keys = n_cells * static_cast<size_t>(row.keys);
    const size_t n_values = n_cells * static_cast<size_t>(row.values);
    for (int32_t layer = 0; layer < header.n_layer; ++layer) {
        PUNA_TRY(transfer(layer, PUNA_KV_KEYS, bytes.first(n_keys)));
        bytes = bytes.subspan(n_keys);
        PUNA_TRY(transfer(layer, PUNA_KV_VALUES, bytes.first(n_values)));
        bytes = bytes.subspan(n_values);
    }
    return {};
}

// ---- Checks ------------------------------------------------------------------------------------

// That it is a state, and whole. What the header says is still to be checked.
Result<Header> check_whole(std::span<const std::byte> data) {
    const auto magic = std::as_bytes(std::span(kMagic));
    const size_t n_magic = std::min(data.size(), magic.size());
    if (!std::equal(magic.begin(), magic.begin() + n_magic, data.begin())) {
        return make_status(PUNA_ERROR_FORMAT,
                           "this is no saved sequence: it has another beginning");
    }
    const bool has_version = data.size() >= sizeof kMagic + sizeof(uint32_t);
    const uint32_t version = has_version ? load_le<uint32_t>(&data[sizeof kMagic]) : kVersion;
    if (version != kVersion) {
        return make_status(PUNA_ERROR_FORMAT_VERSION,
                           "the saved sequence has format version %u, this library reads %u",
                           static_cast<unsigned>(version), static_cast<unsigned>(kVersion));
    }
    if (data.size() < kHeaderSize) {
        return make_status(PUNA_ERROR_TRUNCATED,
                           "the saved sequence ends after %zu bytes, within its header",
                           data.size());
    }
    const Header header = read_header(data.data());
    if (data.size() < header.size) {
        return make_status(PUNA_ERROR_TRUNCATED, "the saved sequence ends after %zu of %llu bytes",
                           data.size(), static_cast<unsigned long long>(header.size));
    }
    if (data.size() > header.size) {
        return make_status(PUNA_ERROR_FORMAT,
                           "the saved sequence should have %llu bytes and has %zu",
                           static_cast<unsigned long long>(header.size), data.size());
    }
    if (header.header_size != kHeaderSize || data.size() < kHeaderSize + kChecksumSize) {
        return make_status(PUNA_ERROR_FORMAT, "the saved sequence is damaged: sizes in its header");
    }
    const auto checksum = load_le<uint64_t>(data.last(kChecksumSize).data());
    if (hash64(data.first(data.size() - kChecksumSize)) != checksum) {
        return make_status(PUNA_ERROR_FORMAT, "the saved sequence is damaged: wrong checksum");
    }
    return header;
}

Status check_same(const char* name, int32_t saved, int32_t ours) {
    if (saved == ours) return {};
    return make_status(PUNA_ERROR_FOREIGN_STATE,
                       "the saved sequence is of another model: %s is %d, not %d", name,
                       static_cast<int>(saved), static_cast<int>(ours));
}

Status check_kv_type(const char* name, int32_t saved, int32_t ours) {
    if (saved == ours) return {};
    return make_status(PUNA_ERROR_FOREIGN_STATE,
                       "the sequence was saved with %s %s (%d), the context has %s (%d): restore "
                       "into a context with the same type",
                       name, kv_type_name(saved), static_cast<int>(saved), kv_type_name(ours),
                       static_cast<int>(ours));
}

// That it was saved with this model and these types. All its sizes are ours then.
Status check_origin(const Header& saved, const Header& ours) {
    PUNA_TRY(check_same("n_layer", saved.n_layer, ours.n_layer));
    PUNA_TRY(check_same("n_head_kv", saved.n_head_kv, ours.n_head_kv));
    PUNA_TRY(check_same("head_dim_k", saved.head_dim_k, ours.head_dim_k));
    PUNA_TRY(check_same("head_dim_v", saved.head_dim_v, ours.head_dim_v));
    if (saved.fingerprint != ours.fingerprint) {
        return make_status(PUNA_ERROR_FOREIGN_STATE,
                           "the saved sequence is of another model of the same shape: fingerprint "
                           "%016llx, not %016llx",
                           static_cast<unsigned long long>(saved.fingerprint),
                           static_cast<unsigned long long>(ours.fingerprint));
    }
    PUNA_TRY(check_kv_type("kv_type_k", saved.kv_type_k, ours.kv_type_k));
    return check_kv_type("kv_type_v", saved.kv_type_v, ours.kv_type_v);
}

Status check_counts(const Header& header, int32_t n_ctx) {
    if (header.n_tokens < 0 || header.n_valid < 0 || header.n_valid > header.n_tokens ||
        header.n_unshifted < 0 || header.n_unshifted > header.n_tokens) {
        return make_status(PUNA_ERROR_FORMAT,
                           "the saved sequence contradicts itself: %d tokens, %d with cells, %d "
                           "unshifted",
                           static_cast<int>(header.n_tokens), static_cast<int>(header.n_valid),
                           static_cast<int>(header.n_unshifted));
    }
    if (header.n_tokens > n_ctx) {
        return make_status(PUNA_ERROR_CONTEXT_FULL,
                           "the saved sequence has %d tokens, more than n_ctx %d: restore into a "
                           "larger context",
                           static_cast<int>(header.n_tokens), static_cast<int>(n_ctx));
    }
    PUNA_TRY_ASSIGN(const uint64_t size, state_size(header));
    if (size == header.size) return {};
    return make_status(PUNA_ERROR_FORMAT, "the saved sequence has %llu bytes, %d tokens take %llu",
                       static_cast<unsigned long long>(header.size),
                       static_cast<int>(header.n_tokens), static_cast<unsigned long long>(size));
}

int32_t load_token(std::span<const std::byte> data, size_t index) {
    return load_le<int32_t>(&data[kHeaderSize + sizeof(int32_t) * index]);
}

Status check_tokens(const Header& header, std::span<const std::byte> data, int32_t n_vocab) {
    for (int32_t i = 0; i < header.n_tokens; ++i) {
        const int32_t token = load_token(data, static_cast<size_t>(i));
        if (token >= 0 && token < n_vocab) continue;
        return make_status(PUNA_ERROR_FORMAT, "the saved sequence has token %d, not 0 .. %d",
                           static_cast<int>(token), static_cast<int>(n_vocab - 1));
    }
    return {};
}

// Takes cells and fills them.
Status write_cells(Sequence& sequence, const Header& header, std::span<const std::byte> rows) {
    if (header.n_valid == 0) return {};
    std::vector<int32_t> cells(static_cast<size_t>(header.n_valid));  // what may throw comes first
    PUNA_TRY(sequence.prepare_cells(0, header.n_valid));
    list_cells(sequence.pages(), cells);
    Evaluator& evaluator = sequence.context().evaluator();
    return for_each_piece(header, rows, [&](int32_t layer, int32_t half, auto bytes) {
        return evaluator.write(layer, half, cells, bytes);
    });
}

std::span<const std::byte> rows_of(const Header& header, std::span<const std::byte> data) {
    const auto n_tokens = static_cast<size_t>(header.n_tokens);
    return data.subspan(kHeaderSize + sizeof(int32_t) * n_tokens);
}

}  // namespace

Result<uint64_t> saved_size(const Sequence& sequence) {
    PUNA_TRY_ASSIGN(const Header header, header_of(sequence));
    return header.size;
}

Status save_sequence(Sequence& sequence, std::span<std::byte> out) {
    PUNA_TRY_ASSIGN(const Header header, header_of(sequence));
    if (out.size() != header.size) {
        return make_status(PUNA_ERROR_INTERNAL, "%zu bytes for a state of %llu", out.size(),
                           static_cast<unsigned long long>(header.size));
    }
    write_header(header, out.data());
    std::span<std::byte> rest = out.subspan(kHeaderSize);
    for (const int32_t token : sequence.tokens()) {
        store_le(rest.data(), token);
        rest = rest.subspan(sizeof token);
    }
    if (header.n_valid > 0) {
        std::vector<int32_t> cells(static_cast<size_t>(header.n_valid));
        list_cells(sequence.pages(), cells);
        Evaluator& evaluator = sequence.context().evaluator();
        PUNA_TRY(for_each_piece(header, rest, [&](int32_t layer, int32_t half, auto bytes) {
            return evaluator.read(layer, half, cells, bytes);
        }));
    }
    const std::span<std::byte> body = out.first(out.size() - kChecksumSize);
    store_le(out.last(kChecksumSize).data(), hash64(body));
    return {};
}

Status restore_sequence(Sequence& sequence, std::span<const std::byte> data) {
    const Context& context = sequence.context();
    PUNA_TRY_ASSIGN(const Header header, check_whole(data));
    PUNA_TRY(check_origin(header, header_for(context)));
    PUNA_TRY(check_counts(header, context.n_ctx()));
    PUNA_TRY(check_tokens(header, data, context.model().n_vocab()));
    if (Status status = write_cells(sequence, header, rows_of(header, data)); !status.ok()) {
        sequence.truncate(0);
        return status;
    }
    for (int32_t i = 0; i < header.n_tokens; ++i) {
        sequence.push(load_token(data, static_cast<size_t>(i)));
    }
    sequence.set_valid(header.n_valid);
    if (header.n_unshifted < header.n_tokens) sequence.set_unshifted(header.n_unshifted);
    return {};
}

}  // namespace puna::core
