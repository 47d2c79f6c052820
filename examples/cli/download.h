#pragma once

#include "hub_client.h"
#include "partial_file.h"

namespace cli {

// Gets what is missing of a file, in as many tries as it takes while each brings something, and
// names it `path` when it is whole and its checksum right. The partial file stays if it is not:
// throws std::runtime_error or Interrupted.
void download(HubClient& client, const HubFile& file, PartialFile& partial, const std::string& path,
              const Interrupt& interrupt);

}  // namespace cli
