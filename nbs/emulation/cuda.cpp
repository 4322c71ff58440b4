// Tensors that say they are on cuda:0 and whose memory is the host's. Each operator that reaches the dispatch key CUDA
// is run by its CPU kernel on aliases of the same memory, so all above the kernels is real: device checks, autograd and
// its device thread, autocast('cuda'), views, changes in place. The page 01_cuda.ipynb beside it explains it.
#include <torch/library.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace {
using at::Tensor;
using c10::Device, c10::DeviceIndex, c10::DeviceType, c10::DispatchKey, c10::IValue, c10::Storage, c10::Stream;
const Device CUDA(DeviceType::CUDA, 0);

// ---- One device and one stream; nothing is ever waited for.
struct Guard final : c10::impl::DeviceGuardImplInterface {
  static Stream the_stream() { return Stream(Stream::DEFAULT, CUDA); }
  DeviceType type() const override { return DeviceType::CUDA; }
  Device exchangeDevice(Device) const override { return CUDA; }
  Device getDevice() const override { return CUDA; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  Stream getStream(Device) const noexcept override { return the_stream(); }
  Stream getDefaultStream(Device) const override { return the_stream(); }
  Stream getStreamFromGlobalPool(Device, bool) const override { return the_stream(); }
  Stream getNewStream(Device, int) const override { return the_stream(); }
  Stream exchangeStream(Stream) const noexcept override { return the_stream(); }
  DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const DeviceIndex) const noexcept override {}
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream&) const override {}
};

struct Hooks final : at::CUDAHooksInterface {  // what PyTorch asks its CUDA library
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  int getNumGPUs() const override { return 1; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex current_device() const override { return 0; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(DeviceIndex) const override {}
  DeviceIndex exchangeDevice(DeviceIndex) const override { return 0; }
  DeviceIndex maybeExchangeDevice(DeviceIndex) const override { return 0; }
  const at::Generator& getDefaultGenerator(DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
  at::Generator getNewGenerator(DeviceIndex) const override { return at::detail::createCPUGenerator(); }
  Device getDeviceFromPtr(void*) const override { return CUDA; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  void deviceSynchronize(DeviceIndex) const override {}
};

// ---- A storage on the device holds the one of the host.
void drop(void* held) { delete static_cast<Storage*>(held); }
c10::DataPtr hold(const Storage& host) {
  return c10::DataPtr(const_cast<void*>(host.data()), new Storage(host), &drop, CUDA);
}
Storage on_device(const Storage& host) {
  return Storage(Storage::use_byte_size_t{}, host.nbytes(), hold(host), nullptr, false);
}
Storage on_host(const Storage& s) {
  if (s.device_type() != DeviceType::CUDA) return s;
  if (s.data_ptr().get_deleter() == &drop) return *static_cast<Storage*>(s.data_ptr().get_context());
  return Storage(Storage::use_byte_size_t{}, 0, c10::DataPtr(nullptr, c10::kCPU), c10::GetCPUAllocator(), true);
}

// A tensor of the shape of `t` on the storage `s`; a view of a normal tensor is one, in inference mode too.
Tensor on(const Storage& s, DispatchKey key, const Tensor& t, const Tensor* base = nullptr) {
  using at::detail::make_tensor, c10::TensorImpl;
  auto out = base ? make_tensor<TensorImpl>(TensorImpl::VIEW, Storage(s), base->key_set(), t.dtype())
                  : make_tensor<TensorImpl>(Storage(s), c10::DispatchKeySet(key), t.dtype());
  out.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
  if (t.is_conj()) out._set_conj(true);
  if (t.is_neg()) out._set_neg(true);
  return out;
}

// ---- Operators. These take tensors of both devices:
const std::set<std::string> MIXED = {
    "copy_", "_copy_from", "_copy_from_and_resize", "index", "index_put", "index_put_", "_index_put_impl_",
    "_unsafe_index", "_unsafe_index_put", "set_", "set_data", "pin_memory", "_pin_memory"};
std::mutex door;
std::map<std::string, int64_t> counts;

struct Call {
  std::vector<std::pair<Tensor, Tensor>> pairs;  // an argument on the device, its alias on the host
  bool cuda = false;
  Tensor stray;                  // an argument on the host that is no scalar
  std::optional<Device> asked;   // the argument `device`

  Tensor down(const Tensor& t) {
    if (!t.defined()) return t;
    if (!t.is_cuda()) {
      if (t.dim() && t.is_cpu()) stray = t;
      return t;
    }
    cuda = true;
    for (auto& [orig, alias] : pairs) if (orig.is_same(t)) return alias;
    pairs.emplace_back(t, on(on_host(t.storage()), DispatchKey::CPU, t));
    return pairs.back().second;
  }
  Tensor up(const Tensor& t) {
    if (!t.defined() || !t.is_cpu()) return t;
    for (auto& [orig, alias] : pairs) if (alias.is_same(t)) return orig;
    if (asked ? asked->is_cpu() : !cuda) return t;
    if (!t.has_storage()) return t;
    for (auto& [orig, alias] : pairs)
      if (alias.storage().is_alias_of(t.storage())) return on(orig.storage(), DispatchKey::CUDA, t, &orig);
    return on(on_device(t.storage()), DispatchKey::CUDA, t);
  }
  IValue turn(const IValue& v, bool into) {
    auto f = [&](const Tensor& t) { return into ? down(t) : up(t); };
    if (v.isTensor()) return f(v.toTensor());
    if (v.isTensorList()) {
      c10::List<Tensor> out;
      for (const Tensor& t : v.toTensorVector()) out.push_back(f(t));
      return out;
    }
    if (v.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> out;
      for (const auto& t : v.toOptionalTensorVector()) out.push_back(t ? std::optional<Tensor>(f(*t)) : std::nullopt);
      return out;
    }
    if (into && v.isDevice()) {
      asked = v.toDevice();
      return asked->is_cuda() ? IValue(Device(DeviceType::CPU)) : v;
    }
    if (into && v.isStorage()) return IValue(on_host(v.toStorage()));
    return v;
  }
  // What an operator changed besides numbers: shapes, and memory that was allocated anew.
  void follow() {
    for (auto& [orig, alias] : pairs) {
      auto* impl = orig.unsafeGetTensorImpl();
      Storage host = on_host(orig.storage());
      if (!host.is_alias_of(alias.storage())) {
        Storage s = on_device(alias.storage());
        for (auto& [o, a] : pairs) if (!a.is_same(alias) && a.storage().is_alias_of(alias.storage())) s = o.storage();
        impl->set_storage_keep_dtype(s);
      } else if (host.data() != orig.storage().data() || host.nbytes() != orig.storage().nbytes()) {
        auto* storage = orig.storage().unsafeGetStorageImpl();
        auto before = storage->set_data_ptr(hold(host));
        storage->set_nbytes(host.nbytes());
      }
      if (orig.sizes() != alias.sizes() || orig.strides() != alias.strides() ||
          orig.storage_offset() != alias.storage_offset())
        impl->set_sizes_and_strides(alias.sizes(), alias.strides(), alias.storage_offset());
    }
  }
};

// A softmax of halves in float32 is one kernel of CUDA, and none of a CPU: its argument is widened before, the gradient
// rounded after.
std::optional<at::ScalarType> widen(const std::string& name, torch::jit::Stack* stack, size_t n) {
  bool forward = name == "_softmax" || name == "_log_softmax";
  if (!forward && name != "_softmax_backward_data" && name != "_log_softmax_backward_data") return std::nullopt;
  IValue &last = stack->back(), &tensor = (*stack)[stack->size() - n];
  if (forward) {
    if (last.toBool()) tensor = tensor.toTensor().to(at::kFloat);
    last = false;
    return std::nullopt;
  }
  auto asked = last.toScalarType(), given = tensor.toTensor().scalar_type();
  last = given;
  return asked == given ? std::nullopt : std::optional<at::ScalarType>(asked);
}

// A fake tensor, as FakeTensorMode and tracing make them, may have the key of the device, but it has no memory: its
// operators compute shapes. On the host it has no alias, so each of them would come back here for ever.
bool is_fake(const IValue& v) {
  return v.isTensor() && v.toTensor().is_meta() && v.toTensor().key_set().has_backend(c10::BackendComponent::CUDABit);
}

void run(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  size_t n = schema.arguments().size(), first = stack->size() - n;
  if (std::any_of(stack->begin() + first, stack->end(), is_fake))
    return op.redispatchBoxed(c10::DispatchKeySet(DispatchKey::Meta), stack);
  const auto& overload = schema.operator_name().overload_name;
  std::string name = schema.name().substr(schema.name().find("::") + 2);
  {
    std::lock_guard<std::mutex> lock(door);
    counts[overload.empty() ? name : name + "." + overload]++;
  }
  Call call;
  for (size_t i = 0; i < n; i++) {
    auto& v = (*stack)[first + i];
    v = schema.arguments()[i].name() == "pin_memory" && v.isBool() ? IValue(false) : call.turn(v, true);
  }
  TORCH_CHECK(!call.cuda || !call.stray.defined() || MIXED.count(name),
              "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (",
              schema.operator_name(), ", a tensor of shape ", call.stray.sizes(), " is on the CPU)");
  std::optional<at::ScalarType> rounded = widen(name, stack, n);
  {
    at::AutoDispatchBelowADInplaceOrView below;
    op.callBoxed(stack);
  }
  if (rounded) stack->back() = stack->back().toTensor().to(*rounded);
  call.follow();
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); i++)
    (*stack)[i] = call.turn((*stack)[i], false);
}

void nothing(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, op.schema().arguments().size());
}
int64_t plain_attention(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, double, bool,
                        std::optional<double>, bool) { return 0; }
}  // namespace

namespace at { C10_REGISTER_TYPED_CLASS(CUDAHooksRegistry, "CUDAHooks", ::Hooks); }
TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run>()); }

extern "C" {
// The device alone: enough for FakeTensorMode
void emulation_guard() {
  c10::impl::device_guard_impl_registry[static_cast<size_t>(DeviceType::CUDA)].store(new Guard());
}
// The device, and a kernel for each operator that is composed of others: it would look for kernels of the device.
void emulation_start() {
  emulation_guard();
  auto* lib = new torch::Library(torch::Library::IMPL, "aten", DispatchKey::CUDA, __FILE__, __LINE__);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0) continue;
    auto op = dispatcher.findOp(name);
    if (!op || !op->hasSchema() || op->hasKernelForDispatchKey(DispatchKey::CUDA)) continue;
    std::string bare = name.name.substr(6);
    if (bare == "_fused_sdp_choice" || bare == "record_stream") continue;
    if (!op->hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutograd) &&
        !op->hasKernelForDispatchKey(DispatchKey::CompositeExplicitAutogradNonFunctional)) continue;
    std::string full = bare + (name.overload_name.empty() ? "" : "." + name.overload_name);
    lib->impl(full.c_str(), torch::CppFunction::makeFromBoxedFunction<&run>());
  }
  lib->impl("_fused_sdp_choice", torch::CppFunction(&plain_attention));
  lib->impl("record_stream", torch::CppFunction::makeFromBoxedFunction<&nothing>());
}
// Lines "name count" of the operators that ran on the device since the last call
const char* emulation_operators() {
  static std::string out;
  std::lock_guard<std::mutex> lock(door);
  out.clear();
  for (auto& [name, n] : counts) out += name + " " + std::to_string(n) + "\n";
  counts.clear();
  return out.c_str();
}
}
