import { expectContract } from '../contract/suite.js'

expectContract('half-sync-async')
