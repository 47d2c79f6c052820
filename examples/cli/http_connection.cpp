#include "http_connection.h"

#include <curl/curl.h>

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "errors.h"
#include "puna/puna.hpp"

namespace cli {
namespace {

using Text = std::unique_ptr<char, decltype(&curl_free)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

// What the callbacks of one request share. They are called from C: no exception may leave them.
struct Exchange {
    CURL* easy;
    const HttpConnection::Body& body;
    HttpReply reply;
    std::exception_ptr error;
    bool is_enough = false;
};

void add_header(std::string_view line, HttpReply& reply) {
    if (line.starts_with("HTTP/")) return reply.headers.clear();  // of a "100 Continue" before
    const size_t colon = line.find(':');
    constexpr size_t kMaxHeaders = 1000;
    if (colon == line.npos || reply.headers.size() >= kMaxHeaders) return;
    std::string name(line.substr(0, colon));
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    line.remove_prefix(colon + 1);
    const size_t begin = line.find_first_not_of(" \t\r\n");
    const size_t end = line.find_last_not_of(" \t\r\n");
    reply.headers[name] = begin == line.npos ? "" : line.substr(begin, end + 1 - begin);
}

// Returns the size, or anything else to stop.
template <class Work>
size_t guarded(Exchange& exchange, size_t size, Work work) {
    try {
        return work() ? size : size + 1;
    } catch (...) {
        exchange.error = std::current_exception();
        return size + 1;
    }
}

size_t on_header(char* data, size_t, size_t size, void* user) {
    Exchange& exchange = *static_cast<Exchange*>(user);
    return guarded(exchange, size, [&] {
        add_header({data, size}, exchange.reply);
        return true;
    });
}

size_t on_body(char* data, size_t, size_t size, void* user) {
    Exchange& exchange = *static_cast<Exchange*>(user);
    return guarded(exchange, size, [&] {
        curl_easy_getinfo(exchange.easy, CURLINFO_RESPONSE_CODE, &exchange.reply.status);
        exchange.is_enough = !exchange.body(exchange.reply, {data, size});
        return !exchange.is_enough;
    });
}

// What another try would not change.
bool is_final(CURLcode code) {
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
           code == CURLE_NOT_BUILT_IN || code == CURLE_COULDNT_RESOLVE_PROXY;
}

}  // namespace

struct HttpConnection::Handles {
    CURL* easy = nullptr;
    CURLM* multi = nullptr;
    char error[CURL_ERROR_SIZE] = "";

    Handles();
    ~Handles();
    HeaderList set(const HttpRequest& request, Exchange& exchange);
    CURLcode perform(const Interrupt& interrupt);
};

HttpConnection::Handles::Handles() {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    easy = curl_easy_init();
    multi = curl_multi_init();
    if (easy == nullptr || multi == nullptr) throw std::bad_alloc();
}

HttpConnection::Handles::~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    curl_global_cleanup();
}

HeaderList HttpConnection::Handles::set(const HttpRequest& request, Exchange& exchange) {
    curl_slist* list = curl_slist_append(nullptr, "Accept-Encoding: identity");
    if (!request.token.empty()) {
        list = curl_slist_append(list, ("Authorization: Bearer " + request.token).c_str());
    }
    const std::string agent = std::string("puna/") + puna_version();
    error[0] = '\0';
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, agent.c_str());
    curl_easy_setopt(easy, CURLOPT_NOBODY, request.is_head ? 1L : 0L);
    const std::string range = std::to_string(request.first_byte) + "-";
    if (request.first_byte > 0) curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1L << 18);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes per second
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, 30L);
#if LIBCURL_VERSION_NUM >= 0x075700
    // Ctrl-C does not wait for the name service.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    return {list, curl_slist_free_all};
}

// Looks up often enough to see a Ctrl-C at once.
CURLcode HttpConnection::Handles::perform(const Interrupt& interrupt) {
    constexpr int kPatienceMs = 100;
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    curl_multi_add_handle(multi, easy);
    while (!interrupt.cancel().is_triggered()) {
        int n_running = 0, n_messages = 0;
        if (curl_multi_perform(multi, &n_running) != CURLM_OK) break;
        if (const CURLMsg* message = curl_multi_info_read(multi, &n_messages)) {
            result = message->data.result;
            break;
        }
        curl_multi_poll(multi, nullptr, 0, kPatienceMs, nullptr);
    }
    curl_multi_remove_handle(multi, easy);
    return result;
}

std::string HttpReply::header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
}

HttpConnection::HttpConnection(const Interrupt& interrupt)
    : handles_(std::make_unique<Handles>()), interrupt_(interrupt) {}

HttpConnection::~HttpConnection() = default;

HttpReply HttpConnection::send(const HttpRequest& request, const Body& body) {
    if (!request.url.starts_with("https://") && !request.url.starts_with("http://")) {
        throw std::runtime_error(request.url + ": not a web address");
    }
    Exchange exchange{handles_->easy, body, {}, {}};
    const HeaderList headers = handles_->set(request, exchange);
    const CURLcode code = handles_->perform(interrupt_);
    if (interrupt_.cancel().is_triggered()) throw Interrupted();
    if (exchange.error) std::rethrow_exception(exchange.error);

    HttpReply& reply = exchange.reply;
    curl_easy_getinfo(handles_->easy, CURLINFO_RESPONSE_CODE, &reply.status);
    const char* redirect = nullptr;
    curl_easy_getinfo(handles_->easy, CURLINFO_REDIRECT_URL, &redirect);
    if (redirect != nullptr) reply.redirect = redirect;
    if (code != CURLE_OK && !exchange.is_enough) {
        reply.failure = handles_->error[0] != '\0' ? handles_->error : curl_easy_strerror(code);
        if (is_final(code))
            throw std::runtime_error(url_origin(request.url) + ": " + reply.failure);
    }
    return std::move(reply);
}

std::string url_origin(const std::string& url) {
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
    if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
    const auto part = [&](CURLUPart which) {
        char* text = nullptr;
        curl_url_get(parsed.get(), which, &text, CURLU_DEFAULT_PORT);
        const Text owner(text, curl_free);
        return std::string(text == nullptr ? "" : text);
    };
    std::string host = part(CURLUPART_HOST);
    for (char& c : host) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return part(CURLUPART_SCHEME) + "://" + host + ":" + part(CURLUPART_PORT);
}

}  // namespace cli
