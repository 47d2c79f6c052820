#include "hub_download.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include "download.h"
#include "file_lock.h"
#include "hub_client.h"
#include "readable.h"

namespace cli {
namespace {

// What there is instead; a split model is one entry.
std::string listing(const std::vector<std::string>& files) {
    constexpr int kMaxEntries = 40;
    std::string text;
    int n_entries = 0;
    for (const std::string& file : files) {
        if (!is_gguf(file) || all_parts(file)[0] != file) continue;
        if (++n_entries > kMaxEntries) continue;
        text += (text.empty() ? "" : ", ") + printable(file, 120);
    }
    if (n_entries > kMaxEntries) {
        text += " and " + std::to_string(n_entries - kMaxEntries) + " more";
    }
    return text;
}

std::vector<std::string> choose_remote(const HubName& name, const std::vector<std::string>& files) {
    std::vector<std::string> chosen = choose_model(files, name.tag);
    if (!chosen.empty()) return chosen;
    const std::string there = listing(files);
    throw std::runtime_error(
        name.text + (there.empty() ? ": the repository has no GGUF files"
                                   : ": not the name of just one model: give a whole file name or "
                                     "a word of one that no other has: " +
                                         there));
}

// Puts the file into the cache, unless another program did so while this one waited for the lock.
void fetch(HubClient& client, const HubFile& file, const HubCache& cache,
           const Interrupt& interrupt) {
    const std::string blob = cache.blob(file.etag);
    cache.make_folders();
    const FileLock lock(cache.lock(file.etag), interrupt, [&file] {
        std::fprintf(stderr, "waiting for another program that downloads %s\n", file.name.c_str());
    });
    if (!cache.find(file.commit, file.name).empty()) return;
    const bool is_shared = file_size(blob) == file.size && file.size > 0;
    if (!is_shared) {
        PartialFile partial(cache.partial(file.etag), file.etag, file.size, interrupt);
        download(client, file, partial, blob, interrupt);
    }
    cache.link(file.etag, file.commit, file.name, is_shared);
}

}  // namespace

std::string download_from_hub(const HubSettings& settings, const HubName& name,
                              const HubCache& cache, const Interrupt& interrupt) {
    HubClient client(settings, name, interrupt);
    std::string revision = name.revision;
    const std::vector<std::string> files =
        name.file.empty() ? choose_remote(name, client.list(revision)) : all_parts(name.file);
    for (const std::string& part : files) {
        const HubFile file = client.describe(revision, part);
        revision = file.commit;  // the parts must be of the same state
        if (!cache.find(revision, part).empty()) continue;
        fetch(client, file, cache, interrupt);
    }
    if (!is_commit(name.revision)) cache.set_commit(name.revision, revision);
    return cache.find(revision, name.file.empty() ? files[0] : name.file);
}

}  // namespace cli
