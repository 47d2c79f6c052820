// What a model and a context would take, before anything is loaded.
#pragma once

#include "base/status.h"
#include "runtime/runtime.h"
#include "runtime/source_duty.h"

namespace puna::core {

// From the headers of the sources alone, which are released.
Status estimate_memory(Runtime& runtime, SourceDuty& sources,
                       const puna_model_options& model_options,
                       const puna_context_options& context_options, puna_memory_estimate* estimate);

}  // namespace puna::core
