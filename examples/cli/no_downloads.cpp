// Takes the place of hub_download.cpp in a build without the libraries that it needs.

#include <stdexcept>

#include "hub_download.h"

namespace cli {

std::string download_from_hub(const HubSettings& settings, const HubName& name, const HubCache&,
                              const Interrupt&) {
    throw std::runtime_error(name.text +
                             ": not in the cache, and this build of puna cannot download: fetch " +
                             hub_url(settings.endpoint, name, name.revision, name.file) +
                             " by other means and give the path of the file");
}

}  // namespace cli
