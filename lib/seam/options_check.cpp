#include "seam/options_check.h"

namespace puna::core {

namespace {

Status check_kv_type(const BackendLimits& limits, const char* name, int32_t type) {
    if (has_kind(limits.kv_types, type)) return {};
    return make_status(PUNA_ERROR_UNSUPPORTED, "%s: the %s backend has no cache of type %d", name,
                       limits.name, type);
}

}  // namespace

Status check_options(const BackendLimits& limits, const puna_executor_options& options) {
    const struct {
        const char* name;
        int32_t value;
        int32_t least;
    } counts[] = {
        {"n_cells", options.n_cells, PUNA_KV_PAGE}, {"n_ctx", options.n_ctx, 1},
        {"max_rows", options.max_rows, 1},          {"max_views", options.max_views, 1},
        {"max_outputs", options.max_outputs, 0},    {"max_bias", options.max_bias, 0},
        {"n_threads", options.n_threads, 0},
    };
    for (const auto& count : counts) {
        if (count.value >= count.least) continue;
        return make_status(PUNA_ERROR_ARGUMENT, "executor options: %s is %d, must be %d or more",
                           count.name, count.value, count.least);
    }
    if (options.n_cells % PUNA_KV_PAGE != 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "executor options: n_cells is %d, must be a multiple of %d",
                           options.n_cells, PUNA_KV_PAGE);
    }
    if (options.max_adapters != 0) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "executor options: max_adapters is %d, the %s backend has no adapters",
                           options.max_adapters, limits.name);
    }
    PUNA_TRY(check_kv_type(limits, "kv_type_k", options.kv_type_k));
    return check_kv_type(limits, "kv_type_v", options.kv_type_v);
}

}  // namespace puna::core
