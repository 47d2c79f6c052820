#include "model_name.h"

#include <filesystem>
#include <stdexcept>

#include "environment.h"
#include "files.h"
#include "hub_download.h"

namespace cli {
namespace {

// Without the network: a file that is here is never asked for again.
std::string find_in_cache(const HubName& name, const HubCache& cache) {
    const std::string commit = cache.commit(name.revision);
    const std::vector<std::string> files =
        name.file.empty() ? choose_model(cache.files(commit), name.tag) : all_parts(name.file);
    for (const std::string& file : files) {
        if (cache.find(commit, file).empty()) return "";
    }
    if (files.empty()) return "";
    return cache.find(commit, name.file.empty() ? files[0] : name.file);
}

std::string hub_model_path(const std::string& text, const Interrupt& interrupt) {
    const HubName name = parse_hub_name(text);
    const HubSettings settings = hub_settings();
    const HubCache cache(settings.cache, name);
    const std::string path = find_in_cache(name, cache);
    if (!path.empty()) return path;
    if (settings.is_offline) {
        throw std::runtime_error(name.text + ": not in " + settings.cache +
                                 ", and HF_HUB_OFFLINE forbids to download it");
    }
    return download_from_hub(settings, name, cache, interrupt);
}

}  // namespace

std::string model_path(const std::string& name, const Interrupt& interrupt) {
    if (name == "demo") return demo_model_path();
    return name.starts_with("hf:") ? hub_model_path(name, interrupt) : name;
}

std::string demo_model_path() {
    const auto folder = native_path(program_path()).parent_path();
    const auto path = (folder / "../share/puna/demo.gguf").lexically_normal();
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) return utf8_path(path);
    throw std::runtime_error("demo: the model that ships with puna is not at " + utf8_path(path) +
                             " (a file of your own is ./demo)");
}

}  // namespace cli
