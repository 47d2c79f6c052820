// A number that tells models apart, for data that fits one model only.
#pragma once

#include <cstdint>

#include "model/model_loader.h"

namespace puna::core {

// Over the family, the hyper-parameters, and name, shape, format and a few bytes of every tensor:
// cheap, and yet another for other weights of the same shape. Equal however the file was split or
// read and whatever the platform; it stands in saved states. The model has its weights.
uint64_t fingerprint_of(const LoadedModel& model);

}  // namespace puna::core
