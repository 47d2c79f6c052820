#include "runtime/memory_plan.h"

#include "base/error.h"
#include "model/memory_estimate.h"
#include "model/model_loader.h"
#include "runtime/context.h"
#include "runtime/model.h"
#include "runtime/part_plan.h"

namespace puna::core {
namespace {

Status add_part(const LoadedModel& model, const PartPlan& plan, int32_t weights_layout,
                const puna_executor_options& executor, puna_memory_estimate* total) {
    const std::vector<puna_tensor> tensors = tensors_of(model, plan);
    const puna_layers_request request = layers_request(model, plan, tensors, weights_layout);
    puna_backend_estimate part = {};
    part.struct_size = sizeof part;
    puna_error error = PUNA_ERROR_INIT;
    const puna_backend_api& api = plan.device.backend->api();
    const puna_status code =
        api.estimate(plan.device.backend->instance(), &request, &executor, &part, &error);
    if (code != PUNA_OK) return status_from(code, error);
    total->host_weight_bytes += part.host_weight_bytes;
    total->device_weight_bytes += part.device_weight_bytes;
    if (plan.device.is_gpu) {
        total->n_gpu_layers = plan.n_layers;
        total->device_kv_bytes += part.kv_bytes;
        total->device_scratch_bytes += part.scratch_bytes;
    } else {
        total->host_kv_bytes += part.kv_bytes;
        total->host_scratch_bytes += part.scratch_bytes;
    }
    return {};
}

int32_t PUNA_CALL is_closed(void* runtime) {
    return static_cast<const Runtime*>(runtime)->is_closed() ? 1 : 0;
}

}  // namespace

Status estimate_memory(Runtime& runtime, SourceDuty& sources,
                       const puna_model_options& model_options,
                       const puna_context_options& context_options,
                       puna_memory_estimate* estimate) {
    PUNA_TRY(check_model_options(model_options));
    LoadOptions load_options;
    load_options.contents =
        model_options.vocab_only != 0 ? ModelContents::kVocabulary : ModelContents::kHeaders;
    load_options.disable_mmap = model_options.disable_mmap != 0;
    LoadProgress progress(nullptr, nullptr, is_closed, &runtime);
    PUNA_TRY_ASSIGN(const auto model,
                    load_model(sources.take(), load_options, runtime.allocator(), progress));
    if (!model->has_weights()) return {};
    const WeightMemory weights = weight_memory(*model);
    estimate->host_mapped_bytes = weights.mapped_bytes;
    estimate->host_weight_bytes = weights.allocated_bytes;
    PUNA_TRY_ASSIGN(const auto executor, executor_options(model->hyper, runtime, context_options));
    PUNA_TRY_ASSIGN(const auto plan,
                    plan_parts(runtime.backends(), model->hyper.n_layer, model_options.n_gpu_layers,
                               model_options.gpu_device));
    for (const PartPlan& part : plan) {
        PUNA_TRY(add_part(*model, part, model_options.weights_layout, executor, estimate));
    }
    if (plan.size() > 1) {
        estimate->host_scratch_bytes += Evaluator::hidden_bytes(executor, model->hyper.n_embd);
    }
    return {};
}

}  // namespace puna::core
