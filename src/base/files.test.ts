import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AtomicFile, commitAll, writeFileAtomic } from './atomic-file.js';
import { fileError } from './file-errors.js';
import { FileReader } from './file-reader.js';
import { tempFolder } from './testing/temp-folder.js';

describe('FileReader', () => {
  test('reads any range, into shared memory too', async () => {
    const path = join(await tempFolder(), 'x');
    await writeFile(
      path,
      Uint8Array.from({ length: 100 }, (_, i) => i),
    );
    const reader = await FileReader.open(path);
    const target = new Uint8Array(new SharedArrayBuffer(8), 2, 4);
    await reader.read(96, target);
    expect([...target]).toEqual([96, 97, 98, 99]);
    await reader.read(100, new Uint8Array(0));
    for (const offset of [97, -1, 0.5, 2 ** 60, Number.NaN]) {
      await expect(reader.read(offset, target)).rejects.toMatchObject({
        kind: 'bad-file',
        code: 'truncated',
      });
    }
    await reader.close();
  });

  test('refuses what is no file', async () => {
    const folder = await tempFolder();
    await expect(FileReader.open(folder)).rejects.toMatchObject({ kind: 'not-found', code: 'not-a-file' });
    await expect(FileReader.open('/dev/null')).rejects.toMatchObject({ code: 'not-a-file' });
    const missing = FileReader.open(join(folder, 'missing'));
    await expect(missing).rejects.toMatchObject({ kind: 'not-found', code: 'no-such-file' });
  });
});

describe('AtomicFile', () => {
  test('can be left and gone on with', async () => {
    const path = join(await tempFolder(), 'x');
    expect(await AtomicFile.reopen(path)).toBeUndefined();
    const first = await AtomicFile.create(path);
    await first.setSize(4);
    await first.write(0, Buffer.from('ab'));
    await first.sync();
    await first.suspend();
    expect(existsSync(path)).toBe(false);
    const second = await AtomicFile.reopen(path);
    expect(await second?.size()).toBe(4);
    await second?.write(2, Buffer.from('cd'));
    await second?.commit();
    expect(await readFile(path, 'utf8')).toBe('abcd');
  });

  test('appears on commit only, with bytes never written as zero', async () => {
    const path = join(await tempFolder(), 'x');
    await writeFile(path, 'old');
    const file = await AtomicFile.create(path);
    await file.setSize(6);
    await Promise.all([file.write(4, Buffer.from('e')), file.write(0, Buffer.from('ab'))]);
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(file.temporaryPath).toBe(`${path}.partial`);
    await file.commit();
    expect(await readFile(path, 'utf8')).toBe('ab\0\0e\0');
    expect(existsSync(file.temporaryPath)).toBe(false);
  });

  test('leaves nothing behind when discarded or when a file of a set cannot be renamed', async () => {
    const folder = await tempFolder();
    const lost = await AtomicFile.create(join(folder, 'lost'));
    await lost.discard();
    await mkdir(join(folder, 'taken', 'by-a-folder'), { recursive: true });
    const taken = await AtomicFile.create(join(folder, 'taken'));
    const other = await AtomicFile.create(join(folder, 'other'));
    await expect(commitAll([taken, other])).rejects.toMatchObject({ name: 'CriaError' });
    expect(await readdir(folder)).toEqual(['taken']);
  });

  test('says when the folder is missing or the disk full', async () => {
    const path = join(await tempFolder(), 'missing', 'x');
    await expect(AtomicFile.create(path)).rejects.toMatchObject({ kind: 'not-found', code: 'no-such-file' });
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    expect(fileError(full, 'write', 'x')).toMatchObject({ kind: 'resources', code: 'disk-full' });
    if (existsSync('/dev/full')) {
      const folder = await tempFolder();
      await symlink('/dev/full', join(folder, 'x.partial'));
      const file = await AtomicFile.create(join(folder, 'x'));
      await expect(file.write(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'disk-full' });
      await file.discard();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  test('writeFileAtomic replaces the content', async () => {
    const path = join(await tempFolder(), 'x');
    await writeFileAtomic(path, 'one, longer');
    await writeFileAtomic(path, 'zwei');
    expect(await readFile(path, 'utf8')).toBe('zwei');
  });
});
