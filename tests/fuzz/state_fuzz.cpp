// Any bytes as a saved sequence. The first byte of an input says what the others are: a state, or
// changes to a valid one (two bytes of offset, one of value), and whether the checksum is made to
// fit, without which little would be reached. What is accepted is gone on with, and saved again.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "support/saved_state.h"
#include "support/small_engine.h"

namespace {

using namespace puna::test;

constexpr uint8_t kChanges = 1;  // else a state as it stands
constexpr uint8_t kSeals = 2;
constexpr uint8_t kCuts = 4;  // two bytes more: how much of the state is left

void require(bool condition) {
    if (!condition) __builtin_trap();
}

ModelShape tiny_shape() {
    ModelShape shape;
    shape.n_embd = 16;
    shape.n_layer = 2;
    shape.n_head = 2;
    shape.n_head_kv = 1;
    shape.n_ff = 16;
    shape.n_vocab = 32;
    shape.with_tokenizer = false;
    return shape;
}

puna_context_options tiny_context() {
    puna_context_options options = PUNA_CONTEXT_OPTIONS_INIT;
    options.n_ctx = 48;
    options.n_cells = 64;
    options.n_batch = 8;
    return options;
}

class Sequence {
  public:
    explicit Sequence(const SmallEngine& engine) {
        require(puna_sequence_create(engine.context(), &handle_, nullptr) == PUNA_OK);
    }
    ~Sequence() { puna_sequence_destroy(handle_); }
    puna_sequence* get() const { return handle_; }

    int32_t length() const {
        int32_t n = -1;
        require(puna_sequence_length(handle_, &n, nullptr) == PUNA_OK);
        return n;
    }
    puna_status evaluate(int32_t n_tokens) const {
        const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8};
        return puna_sequence_evaluate(handle_, tokens, n_tokens, nullptr, nullptr, 0, nullptr);
    }
    SavedState save() const {
        size_t size = 0;
        require(puna_sequence_save(handle_, nullptr, 0, &size, nullptr) == PUNA_OK);
        SavedState state(size);
        require(puna_sequence_save(handle_, state.data(), size, nullptr, nullptr) == PUNA_OK);
        return state;
    }
    puna_status restore(const SavedState& state, puna_error* error) const {
        return puna_sequence_restore(handle_, state.data(), state.size(), error);
    }

  private:
    puna_sequence* handle_ = nullptr;
};

// Eight tokens of which two were dropped, so that every count of the header is its own.
SavedState valid_state(const SmallEngine& engine) {
    const Sequence sequence(engine);
    require(sequence.evaluate(8) == PUNA_OK);
    require(puna_sequence_drop(sequence.get(), 3, 2, nullptr) == PUNA_OK);
    return sequence.save();
}

SavedState state_from(const uint8_t* data, size_t size, const SavedState& valid) {
    if (size == 0) return {};
    const uint8_t kind = *data++;
    --size;
    const auto take = [&] {
        const size_t value = size < 2 ? 0 : data[0] | size_t{data[1]} << 8;
        const size_t n = std::min<size_t>(size, 2);
        data += n;
        size -= n;
        return value;
    };
    SavedState state = valid;
    if (kind & kChanges) {
        if (kind & kCuts) state.resize(take() % (valid.size() + 16));
        while (size > 2 && !state.empty()) {
            const size_t offset = take() % state.size();
            state[offset] = static_cast<std::byte>(*data++);
            --size;
        }
    } else {
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        state.assign(bytes, bytes + size);
    }
    if ((kind & kSeals) && state.size() >= StateOffset::kFirstToken + 8) seal(state);
    return state;
}

void go_on(const Sequence& sequence, const SavedState& state) {
    require(sequence.save() == state);  // the format has one way to say a thing
    if (sequence.length() <= 40) require(sequence.evaluate(8) == PUNA_OK);
    const int32_t n_dropped = std::min(sequence.length(), 2);
    require(puna_sequence_drop(sequence.get(), 0, n_dropped, nullptr) == PUNA_OK);
    puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
    options.max_tokens = 2;
    puna_generation* generation = nullptr;
    if (puna_generation_start(sequence.get(), nullptr, 0, &options, &generation, nullptr)) return;
    puna_event event = PUNA_EVENT_INIT;  // numbers that are none in the cells: an error, no crash
    while (event.kind != PUNA_EVENT_DONE) {
        if (puna_generation_next(generation, 0, &event, nullptr) != PUNA_OK) break;
    }
    puna_generation_destroy(generation);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const SmallEngine engine(tiny_shape(), tiny_context());
    static const SavedState valid = valid_state(engine);
    const SavedState state = state_from(data, size, valid);
    {
        const Sequence sequence(engine);
        puna_error error = PUNA_ERROR_INIT;
        if (sequence.restore(state, &error) == PUNA_OK) {
            go_on(sequence, state);
        } else {
            require(error.message[0] != '\0' && sequence.length() == 0);
            require(engine.info().n_cells_used == 0);
            require(sequence.restore(valid, nullptr) == PUNA_OK && sequence.save() == valid);
        }
    }
    require(engine.info().n_cells_used == 0);
    return 0;
}
