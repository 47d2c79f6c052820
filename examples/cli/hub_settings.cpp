#include "hub_settings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <stdexcept>

#include "environment.h"
#include "files.h"

namespace cli {
namespace {

std::string home_folder() {
#ifdef _WIN32
    const char* const name = "USERPROFILE";
#else
    const char* const name = "HOME";
#endif
    const std::string home = environment_variable(name);
    if (!home.empty()) return home;
    throw std::runtime_error(std::string(name) +
                             " is not set, so there is no place for models: set HF_HOME to a "
                             "folder for them");
}

std::string hugging_face_folder() {
    const std::string own = environment_variable("HF_HOME");
    if (!own.empty()) return own;
    const std::string caches = environment_variable("XDG_CACHE_HOME");
    return (caches.empty() ? home_folder() + "/.cache" : caches) + "/huggingface";
}

std::string trimmed(const std::string& text) {
    constexpr const char* kSpaces = " \t\r\n";
    const size_t begin = text.find_first_not_of(kSpaces);
    if (begin == text.npos) return "";
    return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

std::string start_of_file(const std::string& path) {
    const File file(open_file(path, "rb"));
    std::array<char, 4096> buffer;
    if (!file) return "";
    return {buffer.data(), std::fread(buffer.data(), 1, buffer.size(), file.get())};
}

std::string token() {
    std::string token = trimmed(environment_variable("HF_TOKEN"));
    std::string source = "HF_TOKEN";
    if (token.empty()) {
        source = environment_variable("HF_TOKEN_PATH");
        if (source.empty()) source = hugging_face_folder() + "/token";
        token = trimmed(start_of_file(source));
    }
    // It becomes part of a line of the request.
    const bool is_plain =
        std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7F; });
    if (!is_plain) throw std::runtime_error(source + ": a token is one word of plain characters");
    return token;
}

std::string endpoint() {
    std::string url = trimmed(environment_variable("HF_ENDPOINT"));
    if (url.empty()) url = "https://huggingface.co";
    while (url.ends_with('/')) url.pop_back();
    if (!url.starts_with("https://") && !url.starts_with("http://")) {
        throw std::runtime_error("HF_ENDPOINT must begin with https:// or http://, not '" + url +
                                 "'");
    }
    return url;
}

bool is_true(std::string value) {
    for (char& c : value) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

}  // namespace

HubSettings hub_settings() {
    HubSettings settings;
    settings.endpoint = endpoint();
    settings.token = token();
    settings.cache = environment_variable("HF_HUB_CACHE");
    if (settings.cache.empty()) settings.cache = hugging_face_folder() + "/hub";
    settings.is_offline = is_true(environment_variable("HF_HUB_OFFLINE"));
    return settings;
}

}  // namespace cli
