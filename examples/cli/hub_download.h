#pragma once

#include <string>

#include "hub_cache.h"
#include "hub_name.h"
#include "hub_settings.h"
#include "terminal.h"

namespace cli {

// Brings a model, with all its parts, to the cache, and returns the path of the file named, or of
// the first. Throws std::runtime_error or Interrupted; what has come by then is kept for next time.
std::string download_from_hub(const HubSettings& settings, const HubName& name,
                              const HubCache& cache, const Interrupt& interrupt);

}  // namespace cli
