#pragma once

#include <string>
#include <vector>

#include "hub_name.h"

namespace cli {

// The files of one repository on this machine, laid out as the Python package huggingface_hub does,
// so that both find what the other has downloaded:
//   models--OWNER--REPO/blobs/ETAG             the bytes of a file; ETAG.incomplete: some of them
//   models--OWNER--REPO/snapshots/COMMIT/FILE  a symbolic link to a blob
//   models--OWNER--REPO/refs/REVISION          the commit that this name stood for
//   .locks/models--OWNER--REPO/ETAG.lock       held by whoever writes the blob
// Nothing here checks names: HubName has, and HubClient for what a server says.
class HubCache {
  public:
    HubCache(const std::string& folder, const HubName& name);

    // The commit of a revision; "" when that is not known.
    std::string commit(const std::string& revision) const;
    // The path of a file of a commit; "" when it is not here.
    std::string find(const std::string& commit, const std::string& file) const;
    // All files of a commit that are here.
    std::vector<std::string> files(const std::string& commit) const;

    std::string blob(const std::string& etag) const { return folder_ + "/blobs/" + etag; }
    std::string partial(const std::string& etag) const { return blob(etag) + ".incomplete"; }
    std::string lock(const std::string& etag) const { return locks_ + "/" + etag + ".lock"; }

    // The folders of a blob, its lock and its partial file.
    void make_folders() const;
    // The blob is a file of the commit. `is_shared`: of another one, too.
    void link(const std::string& etag, const std::string& commit, const std::string& file,
              bool is_shared) const;
    void set_commit(const std::string& revision, const std::string& commit) const;

  private:
    std::string folder_, locks_;
};

}  // namespace cli
