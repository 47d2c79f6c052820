#include "hub_name.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>

#include "readable.h"

namespace cli {
namespace {

constexpr std::string_view kPrefix = "hf:";

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return lower(c); });
    return text;
}

// As the Hub allows them. "--" stands between them in the name of the cache's folder.
bool is_owner_or_repository(std::string_view text) {
    return !text.empty() && is_alphanumeric(text.front()) && text.find("--") == text.npos &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
           });
}

// A component must be the same name on every system; Windows ignores dots and spaces at its end.
bool is_safe_component(std::string_view text) {
    return !text.empty() && text.back() != '.' && text.back() != ' ' &&
           std::none_of(text.begin(), text.end(), [](char c) {
               return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '/' || c == '\\' ||
                      c == ':';
           });
}

[[noreturn]] void refuse(const std::string& text, const char* why) {
    throw std::runtime_error(printable(text, 200) + ": " + why +
                             ": a model of a Hub is hf:OWNER/REPO/FILE.gguf, "
                             "hf:OWNER/REPO@REVISION/FILE.gguf or hf:OWNER/REPO:TAG");
}

// What stands before the first of `ends`, which stays.
std::string_view take(std::string_view& text, const char* ends) {
    const std::string_view taken = text.substr(0, text.find_first_of(ends));
    text.remove_prefix(taken.size());
    return taken;
}

// NAME-00002-of-00005.gguf
struct PartName {
    std::string_view name;
    unsigned part = 0, count = 0;
    bool is_part = false;
};

PartName parse_part(std::string_view file) {
    constexpr std::string_view kForm = "-00002-of-00005.gguf";
    PartName result;
    if (file.size() <= kForm.size()) return result;
    result.name = file.substr(0, file.size() - kForm.size());
    const std::string_view suffix = file.substr(result.name.size());
    if (suffix.substr(6, 4) != "-of-" || suffix[0] != '-' || suffix.substr(15) != ".gguf") {
        return result;
    }
    const auto number = [](std::string_view digits, unsigned& value) {
        const char* const end = digits.data() + digits.size();
        return std::from_chars(digits.data(), end, value).ptr == end;
    };
    result.is_part = number(suffix.substr(1, 5), result.part) &&
                     number(suffix.substr(10, 5), result.count) && result.part >= 1 &&
                     result.part <= result.count;
    return result;
}

bool has_word(const std::string& text, const std::string& word, std::string_view separators) {
    const auto is_end = [&](size_t at) {
        return at >= text.size() || separators.find(text[at]) != separators.npos;
    };
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        if ((at == 0 || is_end(at - 1)) && is_end(at + word.size())) return true;
    }
    return false;
}

}  // namespace

HubName parse_hub_name(const std::string& text) {
    HubName name;
    name.text = printable(text, 200);
    std::string_view rest = std::string_view(text).substr(kPrefix.size());
    name.owner = take(rest, "/");
    if (rest.empty()) refuse(text, "no repository is named");
    rest.remove_prefix(1);
    name.repository = take(rest, "/@:");
    if (!is_owner_or_repository(name.owner) || !is_owner_or_repository(name.repository)) {
        refuse(text, "no repository has such a name");
    }
    if (rest.starts_with('@')) {
        rest.remove_prefix(1);
        name.revision = take(rest, "/:");
        if (!is_safe_component(name.revision)) refuse(text, "no revision has such a name");
    }
    if (rest.starts_with('/')) {
        name.file = rest.substr(1);
        if (!is_safe_path(name.file)) refuse(text, "no file has such a name");
    } else if (rest.starts_with(':')) {
        name.tag = rest.substr(1);
        if (!is_safe_component(name.tag)) refuse(text, "no file has such a tag");
    }
    return name;
}

bool is_safe_path(std::string_view path) {
    for (;;) {
        if (!is_safe_component(take(path, "/"))) return false;
        if (path.empty()) return true;
        path.remove_prefix(1);
    }
}

bool is_commit(std::string_view text) {
    return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool is_gguf(const std::string& file) {
    return lower(file).ends_with(".gguf");
}

std::vector<std::string> all_parts(const std::string& file) {
    const PartName name = parse_part(file);
    if (!name.is_part) return {file};
    std::vector<std::string> parts;
    for (unsigned part = 1; part <= name.count; ++part) {
        char suffix[32];
        std::snprintf(suffix, sizeof suffix, "-%05u-of-%05u.gguf", part, name.count);
        parts.push_back(std::string(name.name) + suffix);
    }
    return parts;
}

std::vector<std::string> choose_model(const std::vector<std::string>& files,
                                      const std::string& tag) {
    // "Q4_0" is not meant to be found in "Q4_0_8_8" where it stands for itself too.
    for (const char* separators : {"-./", "-._/"}) {
        std::vector<std::string> found;
        for (const std::string& file : files) {
            const bool fits = tag.empty() || has_word(lower(file), lower(tag), separators);
            if (fits && is_gguf(file)) found.push_back(file);
        }
        if (found.empty()) continue;
        std::sort(found.begin(), found.end());
        return found == all_parts(found[0]) ? found : std::vector<std::string>();
    }
    return {};
}

std::string hub_url(const std::string& endpoint, const HubName& name, const std::string& revision,
                    const std::string& file) {
    const std::string repository = endpoint + "/" + name.owner + "/" + name.repository;
    const std::string where = percent_encoded(revision);
    return file.empty() ? repository + "/tree/" + where
                        : repository + "/resolve/" + where + "/" + percent_encoded(file);
}

std::string percent_encoded(std::string_view path) {
    std::string result;
    for (const char c : path) {
        if (is_alphanumeric(c) || std::string_view("-._~/").find(c) != std::string_view::npos) {
            result += c;
            continue;
        }
        char escape[8];
        std::snprintf(escape, sizeof escape, "%%%02X",
                      static_cast<unsigned>(static_cast<unsigned char>(c)));
        result += escape;
    }
    return result;
}

}  // namespace cli
