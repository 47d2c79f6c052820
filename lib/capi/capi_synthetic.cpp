// puna.h: synthetic models.
#include <string>

#include "capi/guard.h"
#include "capi/handles.h"
#include "model/synthetic_model.h"
#include "runtime/cancel.h"
#include "runtime/random.h"

using namespace puna::core;

namespace {

// A count that an option gives as int32; negative ones become 0, which the writer refuses by name
// where it is no default.
uint32_t count_of(int32_t value, uint32_t otherwise = 0) {
    return value > 0 ? static_cast<uint32_t>(value) : value == 0 ? otherwise : 0;
}

SyntheticModel description(const puna_synthetic_model_options& o) {
    SyntheticModel model;
    model.n_embd = count_of(o.n_embd);
    model.n_layer = count_of(o.n_layer);
    model.n_head = count_of(o.n_head);
    model.n_head_kv = count_of(o.n_head_kv, model.n_head);
    model.head_dim = count_of(o.head_dim, model.n_head != 0 ? model.n_embd / model.n_head : 0);
    model.n_ff = count_of(o.n_ff);
    model.n_vocab = count_of(o.n_vocab);
    model.n_ctx_train = count_of(o.n_ctx_train, 2048);
    model.tied_output = o.tied_output != 0;
    model.type = o.type;
    model.pure = o.pure != 0;
    model.seed = o.seed != 0 ? o.seed : random_seed();
    if (o.vocabulary != nullptr) model.vocabulary_path = o.vocabulary;
    model.part_bytes = o.part_bytes;
    return model;
}

}  // namespace

extern "C" {

puna_status PUNA_CALL puna_synthetic_model_options_init(puna_synthetic_model_options* options,
                                                        size_t size) {
    return init_struct(options, size);
}

puna_status PUNA_CALL puna_synthetic_model_write(const puna_synthetic_model_options* options,
                                                 const char* path, size_t path_size,
                                                 int32_t* n_files, puna_error* error) {
    return guarded(error, [&]() -> Status {
        PUNA_REQUIRE(options);
        PUNA_TRY_ASSIGN(const auto text, read_text(path, path_size, "path"));
        puna_synthetic_model_options whole;
        PUNA_TRY(read_options(options, "puna_synthetic_model_options", &whole));
        if (!whole.type) return null_argument("type");
        if (whole.reserved != nullptr) {
            return make_status(PUNA_ERROR_UNSUPPORTED,
                               "puna_synthetic_model_options.reserved is not NULL");
        }
        // Our own: the progress callback may destroy the handle.
        const auto cancel = whole.cancel ? whole.cancel->object : nullptr;
        const auto interrupted = [](void* user) -> int32_t {
            return static_cast<const Cancel*>(user)->is_triggered();
        };
        LoadProgress progress(whole.progress, whole.progress_user, cancel ? +interrupted : nullptr,
                              cancel.get(), "the writing");
        PUNA_TRY_ASSIGN(const uint32_t count,
                        write_synthetic_model(description(whole), std::string(text), progress));
        if (n_files != nullptr) *n_files = static_cast<int32_t>(count);
        return {};
    });
}

}  // extern "C"
