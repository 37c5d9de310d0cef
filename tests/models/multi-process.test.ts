import { expectContract } from '../contract/suite.js'

expectContract('multi-process')
