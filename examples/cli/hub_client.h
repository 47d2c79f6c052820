#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "http_connection.h"
#include "hub_name.h"
#include "hub_settings.h"

namespace cli {

// What a Hub says about a file before it sends it. All checked: fit to be parts of paths.
struct HubFile {
    std::string name;    // its path in the repository
    std::string commit;  // the state of the repository that it is of
    std::string etag;    // names its bytes
    uint64_t size = 0;   // in bytes
};

// Asks a Hub about one repository. Functions throw std::runtime_error with what the Hub says against
// it, or Interrupted.
class HubClient {
  public:
    HubClient(const HubSettings& settings, const HubName& name, const Interrupt& interrupt);

    // The paths of all files of a revision, as far as they are safe.
    std::vector<std::string> list(const std::string& revision);
    HubFile describe(const std::string& revision, const std::string& file);
    // One try to get the bytes from `first_byte` on, from wherever the Hub sends us for them.
    HttpReply get(const HubFile& file, uint64_t first_byte, const HttpConnection::Body& body);

    // Why a reply is not what was asked for, as a whole message.
    std::string explain(const HttpReply& reply) const;

  private:
    enum class Redirects { kToTheHub, kAnywhere };

    HttpReply follow(HttpRequest request, Redirects allowed, const HttpConnection::Body& body);
    HttpReply ask(const HttpRequest& request, const HttpConnection::Body& body);
    std::string refusal(const HttpReply& reply) const;

    const HubSettings& settings_;
    const HubName& name_;
    const Interrupt& interrupt_;
    HttpConnection connection_;
    std::string origin_;  // of the Hub: the only one to see the token
};

// A reply that may be another one a moment later.
bool is_worth_another_try(const HttpReply& reply);

}  // namespace cli
