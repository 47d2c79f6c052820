#pragma once

#include <string>

namespace cli {

// What the variables of the Python package huggingface_hub say.
struct HubSettings {
    std::string endpoint;  // HF_ENDPOINT, without a slash at its end
    std::string token;     // HF_TOKEN, or the file that `hf auth login` leaves; "" without one
    std::string cache;     // HF_HUB_CACHE
    bool is_offline = false;
};

// Throws std::runtime_error for values that make no sense.
HubSettings hub_settings();

}  // namespace cli
