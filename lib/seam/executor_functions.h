// The functions of puna_backend.h that work on an executor, which are the same for every backend but for
// what it does with a call: their arguments are checked here.
//
// An Executor has begin, advance, kv_move, kv_read and kv_write with spans in the place of pointers and
// numbers, and sizes() with kv_bytes and scratch_bytes. A Place is a struct with
//   template <class Call> static Status run(Executor& executor, const Call& call);
// that runs a call where the executor lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "puna/puna_backend.h"
#include "seam/struct_check.h"

namespace puna::core {

template <class Executor, class Place>
struct ExecutorFunctions {
    static Executor& self(puna_executor* executor) {
        return *reinterpret_cast<Executor*>(executor);
    }

    static puna_status PUNA_CALL memory(const puna_executor* executor, uint64_t* kv_bytes,
                                        uint64_t* scratch_bytes, puna_error* error) {
        return guarded(error, [&]() -> Status {
            if (!executor) return null_argument("executor");
            const auto sizes = reinterpret_cast<const Executor*>(executor)->sizes();
            if (kv_bytes) *kv_bytes = sizes.kv_bytes;
            if (scratch_bytes) *scratch_bytes = sizes.scratch_bytes;
            return {};
        });
    }

    // Works on the host's memory alone.
    static puna_status PUNA_CALL begin(puna_executor* executor, const puna_batch* batch,
                                       puna_error* error) {
        return guarded(error, [&]() -> Status {
            if (!executor) return null_argument("executor");
            PUNA_TRY(check_struct(batch, "puna_batch"));
            return self(executor).begin(*batch);
        });
    }

    static puna_status PUNA_CALL advance(puna_executor* executor, int64_t deadline_ns,
                                         puna_interrupted_fn interrupted, void* user,
                                         puna_progress* progress, puna_error* error) {
        const auto check = [&] { return check_struct(progress, "puna_progress"); };
        return run(executor, error, check, [&](Executor& called) {
            return called.advance(deadline_ns, interrupted, user, progress);
        });
    }

    static puna_status PUNA_CALL kv_move(puna_executor* executor, const puna_kv_move* moves,
                                         int32_t n_moves, puna_error* error) {
        const auto check = [&] { return check_array(moves, n_moves, "moves"); };
        return run(executor, error, check, [&](Executor& called) {
            return called.kv_move({moves, static_cast<size_t>(n_moves)});
        });
    }

    static puna_status PUNA_CALL kv_read(puna_executor* executor, int32_t layer,
                                         int32_t keys_or_values, const int32_t* cells,
                                         int32_t n_cells, void* out, size_t size,
                                         puna_error* error) {
        const auto check = [&]() -> Status {
            PUNA_TRY(check_array(cells, n_cells, "cells"));
            return size > 0 && !out ? null_argument("out") : Status();
        };
        return run(executor, error, check, [&](Executor& called) {
            return called.kv_read(layer, keys_or_values, {cells, static_cast<size_t>(n_cells)},
                                  static_cast<uint8_t*>(out), size);
        });
    }

    static puna_status PUNA_CALL kv_write(puna_executor* executor, int32_t layer,
                                          int32_t keys_or_values, const int32_t* cells,
                                          int32_t n_cells, const void* data, size_t size,
                                          puna_error* error) {
        const auto check = [&]() -> Status {
            PUNA_TRY(check_array(cells, n_cells, "cells"));
            return size > 0 && !data ? null_argument("data") : Status();
        };
        return run(executor, error, check, [&](Executor& called) {
            return called.kv_write(layer, keys_or_values, {cells, static_cast<size_t>(n_cells)},
                                   static_cast<const uint8_t*>(data), size);
        });
    }

  private:
    static Status check_array(const void* array, int32_t n, const char* name) {
        return n < 0 || (n > 0 && !array) ? null_argument(name) : Status();
    }
    template <class Check, class Call>
    static puna_status run(puna_executor* executor, puna_error* error, const Check& check,
                           const Call& call) {
        return guarded(error, [&]() -> Status {
            if (!executor) return null_argument("executor");
            PUNA_TRY(check());
            return Place::run(self(executor), [&] { return call(self(executor)); });
        });
    }
};

// puna_backend_api::layers_format from what a set of layers lists.
template <class Formats>
Status write_layers_format(const Formats& formats, int32_t index, puna_layers_format* format) {
    PUNA_TRY(check_struct(format, "puna_layers_format"));
    if (index < 0 || static_cast<size_t>(index) >= formats.size()) {
        return make_status(PUNA_ERROR_NOT_FOUND, "layers_format: index %d, there are %zu", index,
                           formats.size());
    }
    *format = formats[static_cast<size_t>(index)];
    return {};
}

}  // namespace puna::core
