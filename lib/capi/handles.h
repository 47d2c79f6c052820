// What the opaque handles of puna.h are: one reference each.
#pragma once

#include <memory>

#include "runtime/cancel.h"
#include "runtime/context.h"
#include "runtime/generation.h"
#include "runtime/model.h"
#include "runtime/runtime.h"
#include "runtime/sequence.h"

struct puna_cancel {
    std::shared_ptr<puna::core::Cancel> object;
};
struct puna_runtime {
    std::shared_ptr<puna::core::Runtime> object;
};
struct puna_model {
    std::shared_ptr<puna::core::Model> object;
};
struct puna_context {
    std::shared_ptr<puna::core::Context> object;
};
struct puna_sequence {
    std::shared_ptr<puna::core::Sequence> object;
};
struct puna_generation {
    std::shared_ptr<puna::core::Generation> object;
};
