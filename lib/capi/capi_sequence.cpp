// puna.h: sequences.
#include "capi/guard.h"
#include "capi/handles.h"
#include "runtime/sequence_state.h"

using namespace puna::core;

namespace {

// A call on a sequence: keeps it alive, and its context to itself.
class SequenceCall {
  public:
    explicit SequenceCall(const puna_sequence* handle)
        : sequence_(handle->object), call_(sequence_->shared_context(), nullptr, sequence_.get()) {}

    const Status& status() const { return call_.status(); }
    Sequence* operator->() const { return sequence_.get(); }
    Sequence& operator*() const { return *sequence_; }

    // What changes the tokens needs that no generation runs.
    Status check_idle() const {
        if (sequence_->generation() == nullptr) return {};
        return make_status(PUNA_ERROR_STATE,
                           "a generation is running on the sequence: finish or destroy it first");
    }

  private:
    const std::shared_ptr<Sequence> sequence_;
    const ContextCall call_;
};

Status read_tokens(const int32_t* tokens, int32_t n_tokens, int32_t n_vocab,
                   std::span<const int32_t>* out) {
    if (n_tokens < 0) return make_status(PUNA_ERROR_ARGUMENT, "n_tokens is negative");
    if (n_tokens > 0) PUNA_REQUIRE(tokens);
    *out = {tokens, static_cast<size_t>(n_tokens)};
    for (const int32_t token : *out) {
        if (token >= 0 && token < n_vocab) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "token %d is not 0 .. %d", static_cast<int>(token),
                           static_cast<int>(n_vocab - 1));
    }
    return {};
}

}  // namespace

extern "C" {

puna_status PUNA_CALL puna_sequence_create(puna_context* context, puna_sequence** sequence,
                                           puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(context);
        PUNA_REQUIRE(sequence);
        const ContextCall call(context->object, nullptr, nullptr);
        PUNA_TRY(call.status());
        *sequence = new puna_sequence{std::make_shared<Sequence>(context->object)};
        return {};
    });
}

void PUNA_CALL puna_sequence_destroy(puna_sequence* sequence) {
    if (sequence == nullptr) return;
    const auto context = sequence->object->shared_context();
    if (context->model().runtime().is_forked()) return;
    context->close(sequence->object.get());
    delete sequence;
}

puna_status PUNA_CALL puna_sequence_fork(puna_sequence* sequence, puna_sequence** fork,
                                         puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        PUNA_REQUIRE(fork);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        *fork = new puna_sequence{call->fork()};
        return {};
    });
}

puna_status PUNA_CALL puna_sequence_truncate(puna_sequence* sequence, int32_t n_tokens,
                                             puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        if (n_tokens < 0 || n_tokens > call->length()) {
            return make_status(PUNA_ERROR_ARGUMENT, "n_tokens is %d, the sequence has %d",
                               static_cast<int>(n_tokens), static_cast<int>(call->length()));
        }
        PUNA_TRY(call.check_idle());
        call->truncate(n_tokens);
        return {};
    });
}

puna_status PUNA_CALL puna_sequence_drop(puna_sequence* sequence, int32_t first, int32_t n_tokens,
                                         puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        const int32_t length = call->length();
        if (first < 0 || n_tokens < 0 || first > length || n_tokens > length - first) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "tokens %d and %d more from there are not within the %d there are",
                               static_cast<int>(first), static_cast<int>(n_tokens),
                               static_cast<int>(length));
        }
        PUNA_TRY(call.check_idle());
        PUNA_TRY(call->context().finish_batch());
        return call->drop(first, n_tokens);
    });
}

puna_status PUNA_CALL puna_sequence_set_adapter(puna_sequence* sequence, puna_adapter* adapter,
                                                float, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        PUNA_TRY(call.check_idle());
        if (call->length() > 0) {
            return make_status(PUNA_ERROR_STATE, "the sequence is not empty");
        }
        if (adapter == nullptr) return {};
        return make_status(PUNA_ERROR_UNSUPPORTED, "adapters are not in this version");
    });
}

puna_status PUNA_CALL puna_sequence_length(const puna_sequence* sequence, int32_t* n_tokens,
                                           puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        PUNA_REQUIRE(n_tokens);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        *n_tokens = call->length();
        return {};
    });
}

puna_status PUNA_CALL puna_sequence_tokens(const puna_sequence* sequence, int32_t* tokens,
                                           int32_t capacity, int32_t* n_tokens, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        const auto held = call->tokens();
        return write_tokens(held.data(), held.size(), tokens, capacity, n_tokens);
    });
}

puna_status PUNA_CALL puna_evaluate_options_init(puna_evaluate_options* options, size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_sequence_evaluate(puna_sequence* sequence, const int32_t* tokens,
                                             int32_t n_tokens, const puna_evaluate_options* options,
                                             float* out, size_t out_size, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        puna_evaluate_options whole;
        PUNA_TRY(read_options(options, "puna_evaluate_options", &whole));
        if (whole.reserved != 0 || whole.reserved2 != nullptr) {
            return make_status(PUNA_ERROR_UNSUPPORTED, "puna_evaluate_options: reserved is set");
        }
        const auto cancel = whole.cancel ? whole.cancel->object : nullptr;
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        Context& context = call->context();
        std::span<const int32_t> span;
        PUNA_TRY(read_tokens(tokens, n_tokens, context.model().n_vocab(), &span));
        return context.evaluate(*call, span, whole, cancel, out, out_size);
    });
}

puna_status PUNA_CALL puna_sequence_save(puna_sequence* sequence, void* buffer, size_t capacity,
                                         size_t* needed, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        PUNA_TRY(call.check_idle());
        PUNA_TRY_ASSIGN(const uint64_t size, saved_size(*call));
        if (size > SIZE_MAX) {
            return make_status(PUNA_ERROR_OUT_OF_MEMORY, "the state does not fit into memory");
        }
        const auto n_bytes = static_cast<size_t>(size);
        if (needed != nullptr) *needed = n_bytes;
        if (buffer == nullptr && capacity == 0) return {};
        PUNA_REQUIRE(buffer);
        if (capacity < n_bytes) {
            return make_status(PUNA_ERROR_BUFFER, "capacity is %zu, the state has %zu bytes",
                               capacity, n_bytes);
        }
        PUNA_TRY(call->context().finish_batch());
        return save_sequence(*call, {static_cast<std::byte*>(buffer), n_bytes});
    });
}

puna_status PUNA_CALL puna_sequence_restore(puna_sequence* sequence, const void* data, size_t size,
                                            puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(sequence);
        if (size > 0) PUNA_REQUIRE(data);
        const SequenceCall call(sequence);
        PUNA_TRY(call.status());
        PUNA_TRY(call.check_idle());
        if (call->length() > 0) {
            return make_status(PUNA_ERROR_STATE,
                               "the sequence is not empty: restore into a new one");
        }
        PUNA_TRY(call->context().finish_batch());
        return restore_sequence(*call, {static_cast<const std::byte*>(data), size});
    });
}

}  // extern "C"
