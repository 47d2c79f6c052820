#include "hub_cache.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "files.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

void make_folder(const std::string& path) {
    std::error_code error;
    fs::create_directories(native_path(path), error);
    if (!error) return;
    throw std::runtime_error(path + ": cannot be created: " + error.message() +
                             ": set HF_HUB_CACHE to a folder that can be written");
}

}  // namespace

HubCache::HubCache(const std::string& folder, const HubName& name) {
    const std::string repository = "/models--" + name.owner + "--" + name.repository;
    folder_ = folder + repository;
    locks_ = folder + "/.locks" + repository;
}

std::string HubCache::commit(const std::string& revision) const {
    if (is_commit(revision)) return revision;
    const File file(open_file(folder_ + "/refs/" + revision, "rb"));
    std::array<char, 41> text;
    if (!file || std::fread(text.data(), 1, text.size(), file.get()) < 40) return "";
    std::string commit(text.data(), 40);
    return is_commit(commit) ? commit : "";
}

std::string HubCache::find(const std::string& commit, const std::string& file) const {
    if (commit.empty()) return "";
    const std::string path = folder_ + "/snapshots/" + commit + "/" + file;
    std::error_code error;
    return fs::is_regular_file(native_path(path), error) ? path : "";
}

std::vector<std::string> HubCache::files(const std::string& commit) const {
    std::vector<std::string> names;
    if (commit.empty()) return names;
    const fs::path root = native_path(folder_ + "/snapshots/" + commit);
    std::error_code error;
    for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = utf8_path(entry->path().lexically_relative(root));
        if (!find(commit, name).empty()) names.push_back(name);
    }
    return names;
}

void HubCache::make_folders() const {
    make_folder(folder_ + "/blobs");
    make_folder(locks_);
}

void HubCache::link(const std::string& etag, const std::string& commit, const std::string& file,
                    bool is_shared) const {
    const std::string path = folder_ + "/snapshots/" + commit + "/" + file;
    make_folder(path.substr(0, path.rfind('/')));
    const auto depth = std::count(file.begin(), file.end(), '/');
    std::string target = "../../blobs/" + etag;
    for (auto i = depth; i > 0; --i) target.insert(0, "../");

    std::error_code error;
    fs::remove(native_path(path), error);  // a link to a blob that is gone
    fs::create_symlink(native_path(target), native_path(path), error);
    if (!error) return;
    // No symbolic links here: the file itself is the snapshot's.
    const fs::path from = native_path(blob(etag)), to = native_path(path);
    if (is_shared) {
        fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    } else {
        fs::rename(from, to, error);
    }
    if (error) throw std::runtime_error(path + ": cannot be created: " + error.message());
}

void HubCache::set_commit(const std::string& revision, const std::string& commit) const {
    if (this->commit(revision) == commit) return;
    try {
        make_folder(folder_ + "/refs");
        OutputFile file(folder_ + "/refs/" + revision);
        file.write(commit);
        file.finish();
    } catch (const std::runtime_error&) {
        // A cache for reading only. The next run asks the server again.
    }
}

}  // namespace cli
