"Packaging, read from settings.ini: the one place where name, version and requirements stand."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

config = ConfigParser(delimiters=['='])
config.read(Path(__file__).parent / 'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
extras = {k.removesuffix('_requirements'): v.split() for k, v in cfg.items() if k.endswith('_requirements')}
readme = Path(__file__).with_name('README.md')

# what only development needs: in the repository and the source distribution, not in the wheel
DEVELOPMENT = {('aligntune.bench', name)
               for name in ('architectures', 'cases', 'faults', 'gpu_check', 'gpu_report', 'parity')}


class Wheel(build_py):
    "The modules that users need"
    def find_package_modules(self, package, package_dir):
        found = super().find_package_modules(package, package_dir)
        return [m for m in found if (m[0], m[1]) not in DEVELOPMENT]


setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], license='Apache-2.0',
    author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], keywords=cfg['keywords'].split(),
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown', cmdclass={'build_py': Wheel},
    packages=find_packages(include=['aligntune', 'aligntune.*'], exclude=['aligntune.emulation']),
    include_package_data=True, package_data={'aligntune': ['py.typed', 'recipes/*.yaml', 'core/error_codes.json']},
    python_requires='>=' + cfg['min_python'], install_requires=cfg['requirements'].split(), extras_require=extras,
    entry_points={'console_scripts': cfg['console_scripts'].split('\n'),
                  'nbdev': [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]},
    zip_safe=False,
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Developers',
                 'License :: OSI Approved :: Apache Software License',
                 'Programming Language :: Python :: 3.11', 'Programming Language :: Python :: 3.12',
                 'Programming Language :: Python :: 3.13'],
)
