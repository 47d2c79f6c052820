// Names of models on a Hugging Face Hub: hf:OWNER/REPO/FILE, hf:OWNER/REPO@REVISION/FILE,
// hf:OWNER/REPO:TAG and hf:OWNER/REPO.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli {

struct HubName {
    std::string text;  // as it was given
    std::string owner;
    std::string repository;
    std::string revision = "main";
    std::string file;  // path in the repository; "": to be found by `tag`
    std::string tag;   // "": the only model there is
};

// Throws std::runtime_error for a name that is none of these, or is not safe as part of a path.
HubName parse_hub_name(const std::string& text);

// A path that stays below where it begins, without what systems or terminals take as commands.
bool is_safe_path(std::string_view path);

// The hash by which git names a state of a repository.
bool is_commit(std::string_view text);

// By the ending of its name.
bool is_gguf(const std::string& file);

// All files of a split model, of which `file` is one; of any other model just the file.
std::vector<std::string> all_parts(const std::string& file);

// The GGUF file, or all files of the split one, with `tag` as a word of the name. Nothing when there
// is none or a choice.
std::vector<std::string> choose_model(const std::vector<std::string>& files,
                                      const std::string& tag);

// Where the file is on the web, or without a file where the list of them is.
std::string hub_url(const std::string& endpoint, const HubName& name, const std::string& revision,
                    const std::string& file);

std::string percent_encoded(std::string_view path);

}  // namespace cli
