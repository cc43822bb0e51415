// Found only where libtorch's own header is not: .cargo/config.toml puts this folder last in the search.
// A file that cannot be found ends the compilation at once, which #error does not.
#include "libtorch is not set up. Run `make libtorch` in the project's folder, then cargo again. (Or set LIBTORCH to a libtorch 2.11.0.)"
