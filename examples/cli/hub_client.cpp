#include "hub_client.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "json_text.h"
#include "readable.h"
#include "retries.h"

namespace cli {
namespace {

constexpr long kUnauthorized = 401, kForbidden = 403, kNotFound = 404;

// From W/"abc" or "abc".
std::string plain_etag(std::string_view etag) {
    if (etag.starts_with("W/")) etag.remove_prefix(2);
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
        etag = etag.substr(1, etag.size() - 2);
    }
    return std::string(etag);
}

// No dots: ".incomplete" and ".lock" are put behind it.
bool is_safe_etag(const std::string& etag) {
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    };
    return !etag.empty() && etag.size() <= 128 && std::all_of(etag.begin(), etag.end(), is_plain);
}

bool parse_size(const std::string& text, uint64_t& size) {
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, size);
    return parsed.ec == std::errc() && parsed.ptr == end;
}

// The first of two headers that there is.
std::string either(const HttpReply& reply, const char* first, const char* second) {
    const std::string value = reply.header(first);
    return value.empty() ? reply.header(second) : value;
}

bool no_body(const HttpReply&, std::string_view) {
    return false;
}

}  // namespace

HubClient::HubClient(const HubSettings& settings, const HubName& name, const Interrupt& interrupt)
    : settings_(settings),
      name_(name),
      interrupt_(interrupt),
      connection_(interrupt),
      origin_(url_origin(settings.endpoint)) {}

std::vector<std::string> HubClient::list(const std::string& revision) {
    HttpRequest request;
    request.url = settings_.endpoint + "/api/models/" + name_.owner + "/" + name_.repository +
                  "/revision/" + percent_encoded(revision);
    constexpr size_t kMaxSize = size_t{64} << 20;
    std::string text;
    const HttpReply reply = ask(request, [&text](const HttpReply& head, std::string_view bytes) {
        if (head.status != 200) return false;
        if (text.size() + bytes.size() > kMaxSize) {
            throw std::runtime_error("the list of files is longer than " +
                                     readable_bytes(kMaxSize));
        }
        text += bytes;
        return true;
    });
    if (reply.status != 200) throw std::runtime_error(explain(reply));

    const Json document = Json::parse(text, nullptr, false);
    const auto siblings = document.find("siblings");
    if (!document.is_object() || siblings == document.end() || !siblings->is_array()) {
        throw std::runtime_error(request.url + ": the server does not answer as a Hub does");
    }
    std::vector<std::string> files;
    for (const Json& sibling : *siblings) {
        const auto file = sibling.is_object() ? sibling.find("rfilename") : sibling.end();
        if (file == sibling.end() || !file->is_string()) continue;
        if (is_safe_path(file->get_ref<const std::string&>())) files.push_back(*file);
    }
    return files;
}

HubFile HubClient::describe(const std::string& revision, const std::string& file) {
    HttpRequest request;
    request.url = hub_url(settings_.endpoint, name_, revision, file);
    request.is_head = true;
    const HttpReply reply = ask(request, no_body);
    const bool is_elsewhere = !reply.redirect.empty();
    if (reply.status != 200 && !is_elsewhere) throw std::runtime_error(explain(reply));

    HubFile result;
    result.name = file;
    result.commit = reply.header("x-repo-commit");
    result.etag = plain_etag(either(reply, "x-linked-etag", "etag"));
    const char* const size_of_body = is_elsewhere ? "" : "content-length";
    const auto refuse = [&request](const char* what, const std::string& value) {
        throw std::runtime_error(request.url + ": the server " + what + ": '" +
                                 printable(value, 100) + "'");
    };
    if (!is_commit(result.commit) || (is_commit(revision) && result.commit != revision)) {
        refuse("names no fitting commit, so it is no Hub", result.commit);
    }
    if (!is_safe_etag(result.etag)) refuse("gives the file an unusable ETag", result.etag);
    const std::string size = either(reply, "x-linked-size", size_of_body);
    if (!parse_size(size, result.size)) refuse("does not tell the size of the file", size);
    return result;
}

HttpReply HubClient::get(const HubFile& file, uint64_t first_byte,
                         const HttpConnection::Body& body) {
    HttpRequest request;
    request.url = hub_url(settings_.endpoint, name_, file.commit, file.name);
    request.first_byte = first_byte;
    return follow(request, Redirects::kAnywhere, body);
}

HttpReply HubClient::follow(HttpRequest request, Redirects allowed,
                            const HttpConnection::Body& body) {
    constexpr int kMaxRedirects = 10;
    const auto body_of_target = [&body](const HttpReply& head, std::string_view bytes) {
        const bool is_redirect = head.status >= 300 && head.status < 400;
        return is_redirect || body(head, bytes);
    };
    for (int n = 0; n <= kMaxRedirects; ++n) {
        request.token = url_origin(request.url) == origin_ ? settings_.token : "";
        HttpReply reply = connection_.send(request, body_of_target);
        const std::string& target = reply.redirect;
        if (target.empty()) return reply;
        if (allowed == Redirects::kToTheHub && url_origin(target) != origin_) return reply;
        if (request.url.starts_with("https:") && !target.starts_with("https:")) {
            throw std::runtime_error(printable(request.url, 300) + ": redirected to " +
                                     printable(url_origin(target), 100) + ", which is not as safe");
        }
        request.url = target;
    }
    throw std::runtime_error(name_.text + ": the server redirects without end");
}

HttpReply HubClient::ask(const HttpRequest& request, const HttpConnection::Body& body) {
    Retries retries(interrupt_);
    for (;;) {
        HttpReply reply = follow(request, Redirects::kToTheHub, body);
        if (!is_worth_another_try(reply)) return reply;
        if (!retries.wait()) throw std::runtime_error(explain(reply));
    }
}

std::string HubClient::refusal(const HttpReply& reply) const {
    const std::string repository = name_.owner + "/" + name_.repository;
    const std::string code = reply.header("x-error-code");
    if (reply.status == kNotFound && code == "RevisionNotFound") {
        return repository + " has no revision '" + name_.revision + "'";
    }
    if (reply.status == kNotFound && (code == "RepoNotFound" || name_.file.empty())) {
        return "there is no repository " + repository;
    }
    if (reply.status == kNotFound) {
        return "no such file: 'hf:" + repository + ":' and a word of its name finds one";
    }
    const std::string page = settings_.endpoint + "/" + repository;
    if (settings_.token.empty()) {
        return "the server wants to know who asks: the repository is gated or private, or there is "
               "none: set HF_TOKEN to a token of an account that may read " +
               page;
    }
    return "the account of HF_TOKEN may not read it: see " + page + " for what it takes";
}

std::string HubClient::explain(const HttpReply& reply) const {
    if (!reply.failure.empty()) {
        return name_.text + ": " + settings_.endpoint + ": " + printable(reply.failure, 200);
    }
    const std::string status = " (HTTP " + std::to_string(reply.status) + ")";
    const long refusals[] = {kUnauthorized, kForbidden, kNotFound};
    if (std::find(std::begin(refusals), std::end(refusals), reply.status) != std::end(refusals)) {
        return name_.text + ": " + refusal(reply) + status;
    }
    return name_.text + ": " + settings_.endpoint + " fails to answer" + status +
           ": try again later";
}

bool is_worth_another_try(const HttpReply& reply) {
    return !reply.failure.empty() || reply.status == 408 || reply.status == 429 ||
           reply.status >= 500;
}

}  // namespace cli
