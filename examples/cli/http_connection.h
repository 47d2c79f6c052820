#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "terminal.h"

namespace cli {

struct HttpRequest {
    std::string url;
    bool is_head = false;
    uint64_t first_byte = 0;  // 0: the whole body
    std::string token;        // "": without
};

struct HttpReply {
    long status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string redirect;                        // the whole URL where it says to go, or ""
    std::string failure;                         // why it is not complete, or ""

    // The value of a header, or "".
    std::string header(const std::string& name) const;
};

// Sends requests one after the other, and keeps connections open in between. Follows no redirects.
class HttpConnection {
  public:
    // Gets the bytes of a body as they come, behind status and headers. False: no more of them.
    using Body = std::function<bool(const HttpReply& head, std::string_view bytes)>;

    explicit HttpConnection(const Interrupt& interrupt);
    ~HttpConnection();

    // Throws Interrupted, what `body` throws, and std::runtime_error for what another try would not
    // change; a connection that fails or breaks is a `failure` of the reply.
    HttpReply send(const HttpRequest& request, const Body& body);

  private:
    struct Handles;
    std::unique_ptr<Handles> handles_;
    const Interrupt& interrupt_;
};

// "https://example.org:443": who gets what is sent there. "" for what is no URL.
std::string url_origin(const std::string& url);

}  // namespace cli
