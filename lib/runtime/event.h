// What a generation tells its owner.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "puna/puna.h"

namespace puna::core {

struct Event {
    int32_t kind = PUNA_EVENT_PENDING;
    int32_t token = -1;
    int32_t n_generated = 0;
    int32_t n_sequence = 0;
    float logprob = 0;
    std::string text;
    std::vector<puna_logprob> logprobs;
};

}  // namespace puna::core
